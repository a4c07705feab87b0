//! `isthmus quickstart`: a configuration that works, and how to connect to it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use isthmus_core::SecretBytes;

use super::args::QuickstartArgs;
use super::failure::CliError;
use super::guide::{Guide, guide};
use super::output::{Output, remark};
use crate::config::{self, Environment};
use crate::users::{self, NewUser, UserSecret, UsersFile};

pub(crate) fn quickstart(args: &QuickstartArgs, out: &mut Output) -> Result<(), CliError> {
    let files = Files::in_directory(&args.dir);
    if !args.force {
        files.refuse_existing()?;
    }
    let host = Host::found();
    let no_random =
        |error| CliError::Failed(format!("the system gives no random numbers: {error}"));
    let psk = users::generate(PSK_CHARACTERS).map_err(no_random)?;
    let password = users::generate(PASSWORD_CHARACTERS).map_err(no_random)?;

    make_directory(&args.dir)?;
    write_private(&files.psk, &[psk.expose(), b"\n"].concat())?;
    write_users(&files.users, &args.user, &password)?;
    write_private(&files.config, config_text(args, &host).as_bytes())?;
    let (_, warnings) = config::load(&files.config, &Environment::default())?;
    if !warnings.is_empty() {
        remark(&warnings.to_string());
    }
    let text = |secret: &SecretBytes| String::from_utf8_lossy(secret.expose()).into_owned();
    out.text(&guide(&Guide {
        config: &files.config,
        server: args.address.or(host.address),
        certain: args.address.is_some(),
        user: &args.user,
        psk: text(&psk),
        password: text(&password),
        legacy: args.legacy,
    }))
}

struct Files {
    config: PathBuf,
    psk: PathBuf,
    users: PathBuf,
}

impl Files {
    fn in_directory(dir: &Path) -> Self {
        let file = |name| dir.join(name);
        Self { config: file("isthmus.toml"), psk: file("psk"), users: file("users.toml") }
    }

    fn refuse_existing(&self) -> Result<(), CliError> {
        let there = [&self.config, &self.psk, &self.users].into_iter().find(|path| path.exists());
        match there {
            Some(path) => Err(CliError::Failed(format!(
                "`{}` exists; choose another --dir, or use --force to replace it (clients then need the \
                 new key and password)",
                path.display()
            ))),
            None => Ok(()),
        }
    }
}

/// What can be found out about this machine.
#[derive(Debug, Default)]
struct Host {
    /// The address packets to the outside come from.
    address: Option<IpAddr>,
    /// Interface and next hop of the default route.
    way_out: Option<(String, Option<Ipv4Addr>)>,
    /// Name servers that clients could use as well.
    dns: Vec<Ipv4Addr>,
}

impl Host {
    fn found() -> Self {
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let resolv = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self {
            address: outside_address(),
            way_out: default_route(&routes),
            dns: name_servers(&resolv),
        }
    }
}

/// Asks the kernel which address it would use; sends nothing.
fn outside_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// The default route with the least metric in `/proc/net/route`.
fn default_route(table: &str) -> Option<(String, Option<Ipv4Addr>)> {
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [interface, destination, gateway, _, _, _, metric, mask, ..] = fields.as_slice()
            else {
                return None;
            };
            if hex(destination)? != 0 || hex(mask)? != 0 {
                return None;
            }
            // The kernel prints network byte order as a number of this machine.
            let hop = Ipv4Addr::from(hex(gateway)?.to_ne_bytes());
            let hop = (!hop.is_unspecified()).then_some(hop);
            Some((metric.parse::<u32>().ok()?, ((*interface).to_owned(), hop)))
        })
        .min_by_key(|(metric, _)| *metric)
        .map(|(_, way)| way)
}

/// The name servers of `resolv.conf` that are not on this machine only.
fn name_servers(resolv: &str) -> Vec<Ipv4Addr> {
    resolv
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())
        .filter(|address: &Ipv4Addr| !address.is_loopback() && !address.is_unspecified())
        .take(2)
        .collect()
}

fn config_text(args: &QuickstartArgs, host: &Host) -> String {
    let public = match args.address {
        Some(address) => format!("public_address = \"{address}\""),
        None => String::from(
            "# public_address = \"203.0.113.10\"   # what clients dial, when behind NAT",
        ),
    };
    let dns: Vec<_> = host.dns.iter().map(|address| format!("\"{address}\"")).collect();
    let dns = if dns.is_empty() {
        String::from("# dns = [\"10.0.0.53\"]                     # name servers for clients")
    } else {
        format!("dns = [{}]", dns.join(", "))
    };
    let egress = match &host.way_out {
        Some((interface, hop)) => {
            let hop = hop.map(|hop| format!(", gateway = \"{hop}\"")).unwrap_or_default();
            format!(
                "# Everything else leaves by this machine's own way out, with its address.\n\
                 [[tenant.egress]]\nname = \"internet\"\nvia = {{ interface = \"{interface}\"{hop} }}\n\
                 nat = \"masquerade\"\n"
            )
        }
        None => String::from(
            "# This machine has no default route; name a way out to give clients one.\n\
             # [[tenant.egress]]\n# name = \"internet\"\n# via = { interface = \"eth0\" }\n\
             # nat = \"masquerade\"\n",
        ),
    };
    format!(
        "# Written by `isthmus quickstart`. Every key: docs/operate/configuration.md.\n\
         # After a change: isthmus check && isthmus reload\n\n\
         [gateway]\n{public}\n\n\
         [ipsec]\npsk_file = \"psk\"\n\
         legacy = {}                            # true: also Android up to 11 and old routers\n\n\
         [[tenant]]\nname = \"main\"\npool = [\"{}\"]\n{dns}\n\
         # routes = [\"10.0.0.0/8\"]                 # for clients that do not send everything here\n\
         users_file = \"users.toml\"                # change with: isthmus user\n\n{egress}",
        args.legacy,
        args.pool.trunc(),
    )
}

fn write_users(path: &Path, user: &str, password: &SecretBytes) -> Result<(), CliError> {
    write_private(path, b"# Who may log in. Change with `isthmus user`, or by hand.\n")?;
    let mut file = UsersFile::open(path)?;
    let secret = UserSecret::Password(password.clone());
    file.add(user, &NewUser { secret, address: None, group: None }, false)?;
    Ok(file.save()?)
}

fn make_directory(dir: &Path) -> Result<(), CliError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
    made.map_err(|error| cannot("make", dir, &error))
}

/// Writes a file that nobody but its owner can read, also while it is being written.
fn write_private(path: &Path, content: &[u8]) -> Result<(), CliError> {
    let _absent = std::fs::remove_file(path);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).map_err(|error| cannot("write", path, &error))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
    let hint = if denied { "; run this as root, or choose another --dir" } else { "" };
    CliError::Failed(format!("cannot {what} `{}`: {error}{hint}", path.display()))
}

/// 32 possible characters each: 120 bits.
const PSK_CHARACTERS: usize = 24;
/// 80 bits.
const PASSWORD_CHARACTERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_least_metric_is_found() {
        let gateway = u32::from_ne_bytes([192, 0, 2, 1]);
        let table = format!(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             eth1\t00000000\t{gateway:08X}\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
             eth0\t00000000\t{gateway:08X}\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        let hop = Some(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(default_route(&table), Some((String::from("eth0"), hop)));
        assert_eq!(default_route("Iface\tDestination\n"), None);
    }

    #[test]
    fn only_name_servers_that_clients_can_reach_are_taken() {
        let resolv = "search x\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver 2001:db8::1\n\
                      nameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        assert_eq!(name_servers(resolv), [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)]);
    }

    #[test]
    fn the_text_is_valid_whatever_is_known_of_the_machine() {
        let args = |address| QuickstartArgs {
            dir: PathBuf::new(),
            user: String::from("alice"),
            address,
            pool: "10.64.0.9/24".parse().unwrap(),
            legacy: true,
            force: false,
        };
        let host = Host {
            address: None,
            way_out: Some((String::from("eth0"), Some(Ipv4Addr::new(192, 0, 2, 1)))),
            dns: vec![Ipv4Addr::new(10, 0, 0, 2)],
        };
        for (args, host) in
            [(args(None), Host::default()), (args(Some("203.0.113.10".parse().unwrap())), host)]
        {
            let dir = tempfile::tempdir().unwrap();
            let files = Files::in_directory(dir.path());
            write_private(&files.psk, b"a long enough secret\n").unwrap();
            write_users(&files.users, "alice", &SecretBytes::copy_of(b"x")).unwrap();
            write_private(&files.config, config_text(&args, &host).as_bytes()).unwrap();
            let (config, warnings) = config::load(&files.config, &Environment::default())
                .unwrap_or_else(|report| panic!("{report}"));
            assert!(warnings.is_empty(), "{warnings}");
            assert_eq!(config.tenants[0].egress.len(), usize::from(host.way_out.is_some()));
            assert_eq!(config.tenants[0].pool[0].to_string(), "10.64.0.0/24");
        }
    }
}
