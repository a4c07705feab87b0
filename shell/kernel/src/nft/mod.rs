//! Our nftables table, written whole by the program `nft`.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use ipnet::IpNet;
use serde_json::{Value, json};

use crate::{Firewall, KernelError, Member};

mod filter;
mod links;
mod listed;
mod members;
mod nat;

pub(crate) use listed::{Listed, words};

/// What is in our table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Everything but the members, without what differs between equal tables.
    pub(crate) text: String,
    /// The members, in order; unknown where only the rest was noted.
    pub(crate) members: Option<Vec<Member>>,
}

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

    /// How `nft` lists the table, and its members apart; none when there is no table, or no `nft` that
    /// could have made one.
    pub(crate) fn list(&self) -> Result<Option<Listing>, KernelError> {
        let Some(text) = self.text()? else { return Ok(None) };
        let mut listing = serde_json::from_str(&text).unwrap_or_default();
        strip(&mut listing);
        let members = Some(members::take(&mut listing));
        Ok(Some(Listing { text: listing.to_string(), members }))
    }

    /// The same as `nft` says it.
    pub(crate) fn text(&self) -> Result<Option<String>, KernelError> {
        let output = match self.run(&["list", "table", "inet", &self.table], "") {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(KernelError::NftMissing(error)),
        };
        if output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()));
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
        commands.extend(nat::commands(table, firewall));
        commands.extend(filter::commands(table, firewall));
        commands.extend(members::commands(table, firewall));
        self.change(&commands)
    }

    /// Removes members and adds others, in one transaction.
    pub(crate) fn exchange(&self, remove: &[Member], add: &[Member]) -> Result<(), KernelError> {
        let mut commands = members::change("delete", &self.table, remove);
        commands.extend(members::change("add", &self.table, add));
        if commands.is_empty() { Ok(()) } else { self.change(&commands) }
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

/// A command that adds something to a table.
fn add(table: &str, what: &str, mut about: Value) -> Value {
    if let Some(about) = about.as_object_mut() {
        about.insert("family".into(), json!("inet"));
        about.insert("table".into(), json!(table));
    }
    json!({ "add": { what: about } })
}

/// A field of a packet's header.
fn field(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

/// What is known about a packet apart from its bytes.
fn meta(key: &str) -> Value {
    json!({ "meta": { "key": key } })
}

fn matches(op: &str, left: Value, right: Value) -> Value {
    let parts =
        [("op".to_owned(), json!(op)), ("left".to_owned(), left), ("right".to_owned(), right)];
    json!({ "match": Value::from_iter(parts) })
}

fn jump(chain: &str) -> Value {
    json!({ "jump": { "target": chain } })
}

/// Removes what the kernel numbers anew each time or counts, and what describes `nft` itself.
fn strip(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        let passing = |key: &str| matches!(key, "handle" | "metainfo" | "packets" | "bytes");
        object.retain(|key, _| !passing(key));
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
