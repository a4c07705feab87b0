//! Kernel parameters below `/proc/sys/net`, which every thread sees as its network namespace has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::KernelError;

/// Refuses what is not the path of a network parameter below `/proc/sys`.
pub(crate) fn check(key: &str) -> Result<(), KernelError> {
    let mut parts = key.split('/');
    let inside = parts.next() == Some("net");
    if inside && parts.clone().count() >= 2 && !parts.any(|part| matches!(part, "" | "." | "..")) {
        Ok(())
    } else {
        Err(KernelError::SysctlName(key.to_owned()))
    }
}

/// The value of a parameter, its blanks made one space each; none when there is no such parameter.
pub(crate) fn read(key: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(path(key)) {
        Ok(text) => Ok(Some(normal(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether packets are dropped that come in by this link from where the machine would not send answers by it
/// (RFC 3704 §2.2). The greater of the link's own setting and that of all links counts.
pub(crate) fn is_strict(link: &str) -> io::Result<bool> {
    Ok(reverse_path_filter(link)? == STRICT)
}

/// The reverse path filter of a link as it works: 0 none, 1 strict, 2 loose.
pub(crate) fn reverse_path_filter(link: &str) -> io::Result<u8> {
    let Some(own) = read(&format!("net/ipv4/conf/{link}/rp_filter"))? else { return Ok(0) };
    let all = read("net/ipv4/conf/all/rp_filter")?.unwrap_or_default();
    Ok(own.max(all).parse().unwrap_or_default())
}

const STRICT: u8 = 1;
/// The setting under which it is enough that the machine knows a way to the sender by any link.
pub(crate) const LOOSE: &str = "2";

/// Sets a parameter.
pub(crate) fn write(key: &str, value: &str) -> io::Result<()> {
    fs::write(path(key), value)
}

/// A value as [`read`] gives it.
pub(crate) fn normal(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the kernel changes with the parameter `key`, with the values now: the switch for all of IPv4 or
/// IPv6 forwarding also sets that of each link, and whether redirects are accepted. With it go the settings
/// that [`prepare`] writes.
pub(crate) fn companions(key: &str) -> io::Result<BTreeMap<String, String>> {
    let folder = match key {
        "net/ipv4/ip_forward" | "net/ipv4/conf/all/forwarding" => "net/ipv4/conf",
        IPV6_FORWARDING => IPV6_LINKS,
        _ => return Ok(BTreeMap::new()),
    };
    let mut found = BTreeMap::new();
    let mut keep = |companion: String| -> io::Result<()> {
        if let Some(value) = read(&companion)?.filter(|_| companion != key) {
            found.insert(companion, value);
        }
        Ok(())
    };
    for entry in fs::read_dir(path(folder))? {
        if let Some(link) = entry?.file_name().to_str() {
            keep(format!("{folder}/{link}/forwarding"))?;
            if folder == IPV6_LINKS && !matches!(link, "all" | "default") {
                keep(format!("{folder}/{link}/accept_ra"))?;
            }
        }
    }
    keep(format!("{folder}/all/accept_redirects"))?;
    Ok(found)
}

/// Writes what has to be there before `key` becomes `value`: a link that has its default route from router
/// advertisements (`accept_ra` 1) would lose it when the machine forwards, but for `accept_ra` 2.
pub(crate) fn prepare(
    key: &str,
    value: &str,
    companions: &BTreeMap<String, String>,
) -> io::Result<()> {
    if key != IPV6_FORWARDING || value == "0" {
        return Ok(());
    }
    let listening = companions.iter().filter(|(key, is)| key.ends_with("/accept_ra") && *is == "1");
    listening.map(|(key, _)| key).try_for_each(|key| match write(key, "2") {
        // The link has gone meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    })
}

const IPV6_FORWARDING: &str = "net/ipv6/conf/all/forwarding";
const IPV6_LINKS: &str = "net/ipv6/conf";

fn path(key: &str) -> PathBuf {
    Path::new("/proc/sys").join(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parameters_of_the_network_are_taken() {
        for good in ["net/ipv4/ip_forward", "net/ipv4/conf/eth0.5/rp_filter"] {
            check(good).unwrap();
        }
        let escapes = ["net/../kernel/core_pattern", "net/ipv4/./x", "net//x", "net/ipv4/"];
        let others =
            ["kernel/panic", "/net/ipv4/ip_forward", "net.ipv4.ip_forward", "net", "net/a"];
        for bad in escapes.into_iter().chain(others) {
            assert!(matches!(check(bad), Err(KernelError::SysctlName(_))), "{bad}");
        }
    }

    #[test]
    fn blanks_in_values_do_not_matter() {
        assert_eq!(normal("4096\t131072\t6291456\n"), "4096 131072 6291456");
    }

    #[test]
    fn a_missing_parameter_is_none() {
        assert_eq!(read("net/ipv4/no_such_parameter").unwrap(), None);
    }
}
