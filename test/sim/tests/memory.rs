//! What a gateway keeps for each session that is up and quiet, to the byte.
//!
//! Sessions are held by the ten thousand, so a field more in a machine that every session has is a
//! decision: whoever makes it raises a bound here. What the allocator adds to each piece is not counted, 8 to
//! 23 bytes with glibc.

#[cfg(test)]
mod tests {
    use allocation_counter::{AllocationInfo, measure};
    use isthmus_core::Duration;
    use isthmus_sim::{GatewayHost, World, settings};

    #[test]
    fn a_quiet_session_is_kept_in_few_bytes() {
        let (few, many) = (held(20), held(60));
        let each = |of: fn(&Held) -> &AllocationInfo| {
            let bytes = of(&many).bytes_current - of(&few).bytes_current;
            let pieces = of(&many).count_current - of(&few).count_current;
            // What falls by being dropped was held.
            (-bytes / 40, -pieces / 40)
        };
        let ((machine, machine_pieces), (pipeline, pipeline_pieces)) =
            (each(|held| &held.machine), each(|held| &held.pipeline));
        assert!(
            (MACHINE_BYTES_MAX - TOLERANCE..=MACHINE_BYTES_MAX).contains(&machine),
            "{machine} bytes of IKE, L2TP, PPP and the gateway in {machine_pieces} pieces"
        );
        assert!(
            (PIPELINE_BYTES_MAX - TOLERANCE..=PIPELINE_BYTES_MAX).contains(&pipeline),
            "{pipeline} bytes of the pipeline in {pipeline_pieces} pieces"
        );
        let pieces = machine_pieces + pipeline_pieces;
        assert!(pieces <= PIECES_MAX, "{pieces} pieces");
    }

    /// What is given back when a gateway with so many sessions ends.
    struct Held {
        machine: AllocationInfo,
        pipeline: AllocationInfo,
    }

    fn held(sessions: u8) -> Held {
        let (mut world, gateway) = World::around(1, settings::gateway());
        let clients: Vec<_> = (1..=sessions)
            .map(|n| world.dial(settings::client(&format!("198.51.100.{n}"), "user1")))
            .collect();
        for client in clients {
            world.wait_up(client, Duration::from_mins(1));
        }
        world.run_for(QUIET);
        assert_eq!(world.gateway(gateway).machine.sessions().len(), usize::from(sessions));
        let now = world.now;
        let empty = GatewayHost::new(settings::gateway().into(), &mut world.rng, now);
        let GatewayHost { machine, pipeline, events } =
            std::mem::replace(world.gateway(gateway), empty);
        drop(events);
        Held { machine: measure(|| drop(machine)), pipeline: measure(|| drop(pipeline)) }
    }

    /// Longer than anything of a login is remembered for the case that it comes again.
    const QUIET: Duration = Duration::from_secs(100);
    /// How far below its bound a figure may be: who saves more lowers the bound.
    const TOLERANCE: i64 = 400;
    /// In the control plane, with its share of tables.
    const MACHINE_BYTES_MAX: i64 = 5700;
    /// In the data plane, with the keys of AES-256-CBC and HMAC-SHA1 in aws-lc.
    const PIPELINE_BYTES_MAX: i64 = 3100;
    /// Allocations.
    const PIECES_MAX: i64 = 76;
}
