//! `isthmus profile`: what a client's system needs to connect, written in its own form.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use isthmus_core::SecretBytes;

use super::args::ProfileArgs;
use super::failure::CliError;
use super::output::{Output, remark};
use crate::config::{self, Config, Environment, Tenant};
use crate::profile::{Profile, ProfileError, System};
use crate::users::{User, UserSecret};

pub(crate) fn profile(args: &ProfileArgs, out: &mut Output) -> Result<(), CliError> {
    let (config, _warnings) = config::load(&args.config, &Environment::of_process())?;
    let (tenant, user) = find(&config, args.tenant.as_deref(), &args.user)?;
    let profile = compose(args, &config, tenant, user)?;
    let text = profile.write(args.system).map_err(|error| refused(&error))?;
    if user.disabled {
        remark(&format!("warning: the user `{}` is disabled and cannot log in", args.user));
    }
    if args.system == System::Android && !config.ipsec.legacy {
        remark("warning: Android up to 11 cannot connect without `legacy = true` in [ipsec]");
    }
    match &args.output {
        None => out.text(&text),
        Some(path) => {
            write_private(path, &text)?;
            remark(&format!("written to {}; it holds the pre-shared key", path.display()));
            Ok(())
        }
    }
}

fn compose(
    args: &ProfileArgs,
    config: &Config,
    tenant: &Tenant,
    user: &User,
) -> Result<Profile, CliError> {
    let gateway = &config.gateway;
    let password = match (&user.secret, args.include_password) {
        (_, false) => None,
        (UserSecret::Password(password), true) => Some(text("password", password)?),
        (UserSecret::NtHash(_), true) => {
            return Err(CliError::Failed(format!(
                "the password of `{}` is not stored, only its NT hash; leave out --include-password",
                args.user
            )));
        }
    };
    let group = tenant.groups.iter().find(|group| Some(&group.name) == user.group.as_ref());
    let wider =
        group.map_or_else(|| tenant.advice.clone(), |group| group.advice.or(&tenant.advice));
    let routes = user.advice.or(&wider).routes;
    Ok(Profile {
        name: args.name.clone().unwrap_or_else(|| format!("Isthmus {}", tenant.name)),
        server: args.server.clone().map_or_else(|| server(config), Ok)?,
        user: tenant.login_name(&args.user),
        password,
        psk: text("pre-shared key", key(args, tenant)?)?,
        group: args.group.clone(),
        routes: routes.clone(),
        auth: config.ppp.auth.clone(),
        server_behind_nat: gateway
            .public_address
            .is_some_and(|public| !gateway.listen.contains(&public)),
        legacy: config.ipsec.legacy,
    })
}

/// The tenant's own key, or that of a group.
fn key<'a>(args: &ProfileArgs, tenant: &'a Tenant) -> Result<&'a SecretBytes, CliError> {
    let groups: Vec<&str> = tenant.keyed_groups().map(|group| group.name.as_str()).collect();
    match (&args.group, &tenant.psk) {
        (Some(name), _) => {
            let group = tenant.keyed_groups().find(|group| group.name == *name);
            group.and_then(|group| group.psk.as_ref()).ok_or_else(|| {
                let tenant = &tenant.name;
                CliError::Failed(format!("the tenant `{tenant}` has no group `{name}` with a key"))
            })
        }
        (None, Some(psk)) => Ok(psk),
        (None, None) if groups.is_empty() => Err(CliError::Failed(format!(
            "the tenant `{}` has no pre-shared key for clients",
            tenant.name
        ))),
        (None, None) => Err(CliError::Usage(format!(
            "the tenant `{}` has only groups: say which with --group ({})",
            tenant.name,
            groups.join(", ")
        ))),
    }
}

/// What clients dial, as far as the configuration says.
fn server(config: &Config) -> Result<String, CliError> {
    let listen = &config.gateway.listen;
    let named = listen.iter().find(|address| !address.is_unspecified());
    let address: Option<IpAddr> = config.gateway.public_address.or(named.copied());
    address.map(|address| address.to_string()).ok_or_else(|| {
        CliError::Usage(String::from(
            "the configuration does not say what clients dial: name it with --server, or set \
             `public_address` in [gateway]",
        ))
    })
}

fn text(what: &str, secret: &SecretBytes) -> Result<String, CliError> {
    let read = std::str::from_utf8(secret.expose()).map(str::to_owned);
    read.map_err(|_| {
        CliError::Failed(format!(
            "the {what} is not text, which no client takes; choose another one"
        ))
    })
}

/// The user and the tenant he belongs to.
fn find<'a>(
    config: &'a Config,
    tenant: Option<&str>,
    user: &str,
) -> Result<(&'a Tenant, &'a User), CliError> {
    let tenants: Vec<&Tenant> =
        config.tenants.iter().filter(|t| tenant.is_none_or(|name| t.name == name)).collect();
    if let (Some(name), true) = (tenant, tenants.is_empty()) {
        return Err(CliError::Failed(format!("there is no tenant `{name}`")));
    }
    let found: Vec<(&Tenant, &User)> =
        tenants.iter().filter_map(|t| Some((*t, t.users.named(user)?))).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(CliError::Failed(format!(
            "there is no user `{}`; add one with `isthmus user add`",
            user.escape_debug()
        ))),
        several => {
            let names: Vec<&str> = several.iter().map(|(t, _)| t.name.as_str()).collect();
            Err(CliError::Usage(format!(
                "several tenants have a user of that name: say which with --tenant ({})",
                names.join(", ")
            )))
        }
    }
}

fn refused(error: &ProfileError) -> CliError {
    match error {
        ProfileError::Server(_) => CliError::Usage(error.to_string()),
        ProfileError::Character { .. } | ProfileError::Group | ProfileError::WindowsPassword => {
            CliError::Failed(error.to_string())
        }
    }
}

/// Writes a file that only its owner can read; one that is there stays.
fn write_private(path: &Path, content: &str) -> Result<(), CliError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::AlreadyExists {
            "; remove it or choose another name"
        } else {
            ""
        };
        CliError::Failed(format!("cannot write `{}`: {error}{hint}", path.display()))
    })
}
