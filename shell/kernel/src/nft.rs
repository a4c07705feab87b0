//! Our nftables table, written whole by the program `nft`.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{KernelError, Nat, Translation};

/// Our table and the program that writes it.
pub(crate) struct Nft {
    table: String,
    /// Where the program may be, in order of preference.
    programs: &'static [&'static str],
}

impl Nft {
    /// The table of that name.
    pub(crate) fn new(table: String) -> Self {
        Self { table, programs: PROGRAMS }
    }

    /// How `nft` lists the table, without what differs between equal tables; none when there is no table,
    /// or no `nft` that could have made one.
    pub(crate) fn list(&self) -> Result<Option<String>, KernelError> {
        let output = match self.run(&["list", "table", "inet", &self.table], "") {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KernelError::NftMissing(error)),
        };
        if output.status.success() {
            let mut listing = serde_json::from_slice(&output.stdout).unwrap_or_default();
            strip(&mut listing);
            return Ok(Some(listing.to_string()));
        }
        // ENOENT is how the kernel says that it is not there.
        let missing = String::from_utf8_lossy(&output.stderr).contains("No such file or directory");
        if missing { Ok(None) } else { Err(self.refused(&output)) }
    }

    /// Writes the table anew, in one transaction.
    pub(crate) fn replace(&self, nat: &[Nat]) -> Result<(), KernelError> {
        let table = &self.table;
        // Adding before deleting makes sure that there is something to delete.
        let mut commands = vec![add_table(table), delete_table(table), add_table(table)];
        commands.push(json!({ "add": { "chain": {
            "family": "inet", "table": table, "name": CHAIN,
            "type": "nat", "hook": "postrouting", "prio": SRCNAT, "policy": "accept",
        }}}));
        commands.extend(nat.iter().map(|nat| rule(table, nat)));
        self.change(&commands)
    }

    /// Removes the table.
    pub(crate) fn remove(&self) -> Result<(), KernelError> {
        self.change(&[add_table(&self.table), delete_table(&self.table)])
    }

    fn change(&self, commands: &[Value]) -> Result<(), KernelError> {
        let input = json!({ "nftables": commands }).to_string();
        let output = self.run(&["-f", "-"], &input).map_err(KernelError::NftMissing)?;
        if output.status.success() { Ok(()) } else { Err(self.refused(&output)) }
    }

    /// Runs `nft` in the calling thread's network namespace.
    fn run(&self, arguments: &[&str], input: &str) -> io::Result<Output> {
        let mut missing = io::ErrorKind::NotFound.into();
        for program in self.programs {
            let mut command = Command::new(program);
            command.arg("-j").args(arguments).env("LC_ALL", "C");
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            match command.spawn() {
                Ok(mut child) => {
                    // It reads everything before it answers, so neither waits for the other. When it
                    // refuses early its answer says more than our broken pipe.
                    if let Some(mut stdin) = child.stdin.take() {
                        let _ = stdin.write_all(input.as_bytes());
                    }
                    return child.wait_with_output();
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing = error,
                Err(error) => return Err(error),
            }
        }
        Err(missing)
    }

    fn refused(&self, output: &Output) -> KernelError {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        KernelError::Nft { table: self.table.clone(), message }
    }
}

/// A service's search path may lack the folder of administrators' programs.
const PROGRAMS: &[&str] = &["nft", "/usr/sbin/nft", "/sbin/nft"];
/// Our only chain.
const CHAIN: &str = "postrouting";
/// The priority at which source addresses are translated.
const SRCNAT: i32 = 100;

fn add_table(table: &str) -> Value {
    json!({ "add": { "table": { "family": "inet", "name": table } } })
}

fn delete_table(table: &str) -> Value {
    json!({ "delete": { "table": { "family": "inet", "name": table } } })
}

fn rule(table: &str, nat: &Nat) -> Value {
    let ip = if nat.source.addr().is_ipv4() { "ip" } else { "ip6" };
    let address = |field: &str| json!({ "payload": { "protocol": ip, "field": field } });
    let matches = |op: &str, left: Value, right: Value| json!({ "match": { "op": op, "left": left, "right": right } });
    let mut expr = vec![matches("==", address("saddr"), prefix(&nat.source))];
    if let Some(egress) = &nat.egress {
        expr.push(matches("==", json!({ "meta": { "key": "oifname" } }), json!(egress)));
    }
    for except in &nat.except {
        expr.push(matches("!=", address("daddr"), prefix(except)));
    }
    expr.push(match nat.to {
        Translation::Address(to) => json!({ "snat": { "family": ip, "addr": to } }),
        Translation::Masquerade => json!({ "masquerade": null }),
    });
    json!({ "add": { "rule": {
        "family": "inet", "table": table, "chain": CHAIN, "expr": expr,
    }}})
}

/// Networks are prefixes, except that `nft` wants single addresses plain.
fn prefix(net: &IpNet) -> Value {
    if net.prefix_len() == net.max_prefix_len() {
        json!(net.addr())
    } else {
        json!({ "prefix": { "addr": net.network(), "len": net.prefix_len() } })
    }
}

/// Removes what the kernel numbers anew each time, and what describes `nft` itself.
fn strip(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| key != "handle" && key != "metainfo");
        object.values_mut().for_each(strip);
    }
    if let Some(array) = value.as_array_mut() {
        array.iter_mut().for_each(strip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_source_egress_exceptions_and_what_to_do() {
        let nat = Nat {
            source: "10.64.0.0/20".parse().unwrap(),
            egress: Some("eth1".to_owned()),
            except: vec!["10.0.0.0/8".parse().unwrap(), "192.0.2.1/32".parse().unwrap()],
            to: Translation::Masquerade,
        };
        let rule = rule("t", &nat);
        let expr = &rule["add"]["rule"]["expr"];
        assert_eq!(expr[0]["match"]["right"]["prefix"], json!({ "addr": "10.64.0.0", "len": 20 }));
        assert_eq!(expr[1]["match"]["right"], "eth1");
        assert_eq!(expr[2]["match"]["op"], "!=");
        assert_eq!(expr[3]["match"]["right"], "192.0.2.1");
        assert_eq!(expr[4], json!({ "masquerade": null }));
    }

    #[test]
    fn without_nft_there_is_no_table_and_making_one_says_what_to_install() {
        let absent = Nft { programs: &["isthmus-no-such-program"], ..Nft::new("t".to_owned()) };
        assert_eq!(absent.list().unwrap(), None);
        let error = absent.replace(&[]).unwrap_err();
        assert!(matches!(error, KernelError::NftMissing(_)));
        assert!(error.to_string().contains("apt install nftables"), "{error}");
    }

    #[test]
    fn listings_of_equal_tables_are_equal() {
        let mut first = json!({ "nftables": [{ "metainfo": { "version": "1" } }, { "rule": { "handle": 4, "x": 1 } }] });
        let mut second = json!({ "nftables": [{ "metainfo": { "version": "2" } }, { "rule": { "handle": 9, "x": 1 } }] });
        strip(&mut first);
        strip(&mut second);
        assert_eq!(first, second);
    }
}
