//! Our nftables table, written whole by the program `nft`.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{Firewall, KernelError};

mod nat;

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
    pub(crate) fn replace(&self, firewall: &Firewall) -> Result<(), KernelError> {
        let table = &self.table;
        // Adding before deleting makes sure that there is something to delete.
        let mut commands = vec![add_table(table), delete_table(table), add_table(table)];
        commands.extend(nat::commands(table, &firewall.nat));
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

fn add_table(table: &str) -> Value {
    json!({ "add": { "table": { "family": "inet", "name": table } } })
}

fn delete_table(table: &str) -> Value {
    json!({ "delete": { "table": { "family": "inet", "name": table } } })
}

/// Networks are prefixes, except that `nft` wants single addresses plain.
pub(super) fn prefix(net: &IpNet) -> Value {
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
    fn without_nft_there_is_no_table_and_making_one_says_what_to_install() {
        let absent = Nft { programs: &["isthmus-no-such-program"], ..Nft::new("t".to_owned()) };
        assert_eq!(absent.list().unwrap(), None);
        let error = absent.replace(&Firewall::default()).unwrap_err();
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
