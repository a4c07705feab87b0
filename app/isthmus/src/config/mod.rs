//! The configuration: TOML files in, validated values out, every mistake named with its place.
//!
//! ```text
//! files -> document (tree with places) -> section (keys known or refused) -> value (types)
//!       -> read, tenant (defaults)     -> check (across keys)             -> types::Config
//! ```
//!
//! Nothing outside this module sees a half-valid configuration: [`load`] gives a [`Config`] that
//! holds together, or a [`Report`] with every reason why there is none.

mod certificate;
mod check;
mod choice;
mod compare;
mod data_path;
pub(crate) mod document;
mod egress;
pub(crate) mod file;
mod group;
mod health;
pub(crate) mod keys;
mod lac;
mod mapped;
mod nat;
mod passage;
mod policy;
mod proposal;
mod rates;
mod read;
mod reference;
mod reserved;
mod road;
pub(crate) mod secret;
pub(crate) mod section;
mod tenant;
mod terms;
mod test;
mod types;
pub(crate) mod value;
mod verdict;

pub(crate) use compare::lac_sockets;
pub use compare::{Changes, Difference, Effect, Kind, compare, effective};
pub(crate) use mapped::Mapped;
pub use proposal::{IkeProposal, UnknownProposal, default_esp, default_ike};
pub use read::CONTROL_SOCKET;
pub use reference::reference;
pub use secret::Environment;
pub(crate) use terms::{advice, limits};
pub(crate) use test::parse_end;
pub use types::{
    AuthProtocol, Certificates, Config, DataPath, Egress, Engine, Gateway, Group, Ipsec, L2tp, Lac,
    Log, OwnCertificate, Ppp, Tenant, Way,
};
pub(crate) use verdict::cloud_metadata;
pub use verdict::{Judgement, judge};

use std::path::{Path, PathBuf};

use document::Table;
use section::Section;

use crate::report::Report;
use crate::users::{Users, merge, read_users_file};

/// Where the configuration is when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/isthmus/isthmus.toml";

/// Reads a configuration file and the `conf.d/*.toml` next to it.
///
/// The second value holds warnings.
///
/// # Errors
/// The report, when anything in it is an error.
pub fn load(path: &Path, environment: &Environment) -> Result<(Config, Report), Report> {
    let mut report = Report::default();
    let root = merged(path, &mut report);
    let config = root.and_then(|root| read_root(root, environment, &mut report));
    match config {
        Some(config) if !report.has_errors() => Ok((config, report)),
        _ => Err(report),
    }
}

/// Reads a configuration from text, as [`load`] does from a file in `directory`; for tools that have the
/// text already. Only the files that the text names are read.
///
/// # Errors
/// The report, when anything in it is an error.
pub fn load_text(
    directory: &Path,
    text: &str,
    environment: &Environment,
) -> Result<(Config, Report), Report> {
    let mut report = Report::default();
    let source = report.add_source(&directory.join("isthmus.toml"), text.to_owned());
    let root = document::parse(source, &mut report);
    match root.and_then(|root| read_root(root, environment, &mut report)) {
        Some(config) if !report.has_errors() => Ok((config, report)),
        _ => Err(report),
    }
}

/// Reads the users of a tenant again, as its `users_file` is now.
///
/// # Errors
/// The report, when anything in it is an error; the old users should then stay.
pub fn reload_users(tenant: &Tenant, auth: &[AuthProtocol]) -> Result<(Users, Report), Report> {
    let mut report = Report::default();
    let Some(path) = &tenant.users_file else {
        return Ok((tenant.inline_users.clone(), report));
    };
    let found = read_users_file(path, None, &mut report).unwrap_or_default();
    for user in &found {
        if tenant.inline_users.named(&user.name.value).is_some() {
            report.error(
                user.name.span,
                format!("the user `{}` is also in the configuration", user.name.value),
                "remove one of the two",
            );
        }
        let taken = |address| tenant.inline_users.iter().any(|(_, u)| u.address == Some(address));
        if let (Some(address), Some(at)) = (user.user.address, user.address)
            && taken(address)
        {
            let message = format!("{address} belongs to a user in the configuration");
            report.error(at, message, "choose another one");
        }
    }
    let home = check::Home {
        pool: &tenant.all_pools(),
        gateway_address: tenant.gateway_address,
        pool6: &tenant.all_pools6(),
        gateway_address6: tenant.gateway_address6,
        realms: tenant.realms_taken_off(),
        kept_realms: if tenant.strip_realm { &[] } else { &tenant.realm },
        groups: &tenant.groups,
    };
    check::users(&found, home, auth, &mut report);
    let from_file = merge(found, &mut report);
    if report.has_errors() {
        return Err(report);
    }
    Ok((tenant.inline_users.joined(&from_file), report))
}

/// The tenants and their users files, read leniently: for commands that repair one file while another
/// is missing or broken.
///
/// # Errors
/// The report, when not even the names can be read.
pub fn users_files(path: &Path) -> Result<Vec<(String, Option<PathBuf>)>, Report> {
    let mut report = Report::default();
    let Some(mut root) = merged(path, &mut report) else {
        return Err(report);
    };
    let tenants = root.entries.iter().position(|entry| entry.key == "tenant");
    let drafts = tenant::tenants(tenants.map(|at| root.entries.remove(at).node), &mut report);
    if drafts.is_empty() {
        return Err(report);
    }
    let named =
        |draft: tenant::TenantDraft| (draft.name.value, draft.users_file.map(|at| at.value));
    Ok(drafts.into_iter().map(named).collect())
}

/// The control socket that a configuration names, read leniently.
pub fn control_socket(path: &Path) -> Option<PathBuf> {
    let mut report = Report::default();
    let mut root = merged(path, &mut report)?;
    let gateway = root.entries.iter().position(|entry| entry.key == "gateway")?;
    let gateway = root.entries.remove(gateway).node;
    let section = Section::from_node(&keys::GATEWAY, gateway, &mut report)?;
    Some(read::gateway(Some(section), &mut report).control_socket)
}

fn read_root(root: Table, environment: &Environment, report: &mut Report) -> Option<Config> {
    let mut root = Section::new(&keys::ROOT, root);
    let mut part = |key, known, report: &mut Report| {
        root.take_node(key).and_then(|node| Section::from_node(known, node, report))
    };
    let gateway = read::gateway(part("gateway", &keys::GATEWAY, report), report);
    let data_path = data_path::data_path(part("data_path", &keys::DATA_PATH, report), report);
    let (ipsec, psk) = read::ipsec(part("ipsec", &keys::IPSEC, report), report);
    let l2tp = read::l2tp(part("l2tp", &keys::L2TP, report), &gateway.name, report);
    let ppp = read::ppp(part("ppp", &keys::PPP, report), report);
    let drafts = tenant::tenants(root.take_node("tenant"), report);
    let lacs = root.take_node("lac");
    let tests = test::tests(root.take_node("test"), report);
    root.finish(report);
    certificate::lead_somewhere(&ipsec, &drafts, report);
    choice::listens(&drafts, &gateway, report);
    let tenants = check::tenants(
        drafts,
        &check::SharedKeys {
            file: psk.as_ref(),
            environment: environment.psk.as_ref(),
            ipsec: &ipsec,
        },
        &ppp.auth,
        report,
    );
    let around = lac::Around { gateway: &gateway, tenants: &tenants };
    let lacs = lac::lacs(lacs, around, report);
    let config = Config { gateway, data_path, ipsec, l2tp, lacs, ppp, tenants };
    if !report.has_errors() {
        policy::check_classes(&config, report);
        test::check(&tests, &config, report);
    }
    (!config.tenants.is_empty()).then_some(config)
}

/// The main file and the files of `conf.d`, laid over each other.
fn merged(path: &Path, report: &mut Report) -> Option<Table> {
    let mut root = read_document(path, report);
    for extra in includes(path, report) {
        match (&mut root, read_document(&extra, report)) {
            (Some(root), Some(table)) => document::merge(root, table, report),
            (_, _) => root = None,
        }
    }
    root
}

fn read_document(path: &Path, report: &mut Report) -> Option<Table> {
    match file::read_text(path) {
        Ok(text) => {
            let source = report.add_source(path, text);
            let table = document::parse(source, report)?;
            if holds_secrets(&table) {
                secret::warn_when_open(path, "it holds secrets", None, report);
            }
            Some(table)
        }
        Err(error) => {
            report.error(
                None,
                format!("cannot read `{}`: {error}", path.display()),
                "name the file with --config, or write one with `isthmus quickstart`",
            );
            None
        }
    }
}

/// `conf.d/*.toml` next to the main file, in the order of their names.
fn includes(path: &Path, report: &mut Report) -> Vec<PathBuf> {
    let directory = path.parent().unwrap_or(Path::new(".")).join("conf.d");
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let message = format!("cannot read `{}`: {error}", directory.display());
            report.error(None, message, "check the permissions of the directory");
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn holds_secrets(table: &Table) -> bool {
    table.entries.iter().any(|entry| {
        let secret = matches!(entry.key.as_str(), "nt_hash" | "password" | "psk" | "secret");
        (secret && entry.node.value.as_text().is_some())
            || entry.node.value.tables().into_iter().any(holds_secrets)
    })
}

/// A small valid configuration, for tests of what takes one.
#[cfg(test)]
pub(crate) fn example_for_tests() -> (Config, Report) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("isthmus.toml");
    let text =
        "[[tenant]]\nname = \"acme\"\npsk = \"a long enough secret\"\npool = [\"10.64.0.0/24\"]\n";
    std::fs::write(&path, text).unwrap();
    load(&path, &Environment::default()).unwrap()
}
