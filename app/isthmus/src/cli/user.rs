//! `isthmus user add|list|remove|test`.

use std::path::{Path, PathBuf};

use isthmus_core::SecretBytes;
use serde::Serialize;

use super::args::{
    UserAddArgs, UserCommand, UserListArgs, UserRemoveArgs, UserTestArgs, UsersFileArgs,
};
use super::check::count;
use super::failure::CliError;
use super::output::{Output, remark};
use crate::config::{self, Environment, Tenant};
use crate::users::{self, NewUser, User, UserSecret, UsersFile};

pub(crate) fn user(command: UserCommand, out: &mut Output) -> Result<(), CliError> {
    match command {
        UserCommand::Add(args) => add(&args, out),
        UserCommand::List(args) => list(&args, out),
        UserCommand::Remove(args) => remove(&args, out),
        UserCommand::Test(args) => test(&args, out),
    }
}

fn add(args: &UserAddArgs, out: &mut Output) -> Result<(), CliError> {
    let path = users_file(&args.users)?;
    let mut file = UsersFile::open(&path)?;
    if !args.replace && file.contains(&args.name) {
        return Err(users::EditError::Exists(args.name.clone()).into());
    }
    if let Some(address) = args.address {
        check_address(args, address)?;
    }
    let password = read_password(args.password_file.as_deref(), &args.name, true)?;
    let secret = if args.nt_hash {
        UserSecret::NtHash(users::nt_hash(&password).ok_or(users::PasswordError::NotText)?)
    } else {
        UserSecret::Password(password)
    };
    let new = NewUser { secret, address: args.address, group: args.group.clone() };
    file.add(&args.name, &new, args.replace)?;
    file.save()?;
    out.line(&format!("`{}` can log in; written to {}", args.name, path.display()))
}

fn list(args: &UserListArgs, out: &mut Output) -> Result<(), CliError> {
    let path = users_file(&args.users)?;
    let (users, warnings) = users::load(&path)?;
    if !warnings.is_empty() {
        remark(&warnings.to_string());
    }
    if args.json {
        let rows: Vec<_> = users.iter().map(|(name, user)| Row::new(name, user)).collect();
        return out.json(&rows);
    }
    let rows = users.iter().map(|(name, user)| {
        let row = Row::new(name, user);
        let address = row.address.map(|address| address.to_string());
        let state = if row.disabled { "disabled" } else { "" };
        vec![
            row.name,
            row.secret.to_owned(),
            address.unwrap_or_default(),
            row.group.unwrap_or_default(),
            state.to_owned(),
        ]
    });
    out.table(&["name", "secret", "address", "group", "state"], rows.collect())?;
    if users.is_empty() {
        remark("no users yet; add one with `isthmus user add`");
    }
    Ok(())
}

fn remove(args: &UserRemoveArgs, out: &mut Output) -> Result<(), CliError> {
    let path = users_file(&args.users)?;
    let mut file = UsersFile::open(&path)?;
    file.remove(&args.name)?;
    file.save()?;
    out.line(&format!("`{}` can no longer log in; removed from {}", args.name, path.display()))
}

fn test(args: &UserTestArgs, out: &mut Output) -> Result<(), CliError> {
    let path = users_file(&args.users)?;
    let (users, _) = users::load(&path)?;
    let unknown = || CliError::from(users::EditError::Unknown(args.name.clone()));
    let user = users.named(&args.name).ok_or_else(unknown)?;
    let password = read_password(args.password_file.as_deref(), &args.name, false)?;
    let fits = users::matches(&user.secret, &password);
    if args.json {
        let verdict = Verdict { user: &args.name, password_fits: fits, disabled: user.disabled };
        out.json(&verdict)?;
        return if fits && !user.disabled { Ok(()) } else { Err(CliError::Said) };
    }
    match (fits, user.disabled) {
        (true, false) => out.line(&format!("the password of `{}` is right", args.name)),
        (true, true) => Err(CliError::Failed(format!(
            "the password of `{}` is right, but the user is disabled; remove `disabled = true`",
            args.name
        ))),
        (false, _) => Err(CliError::Failed(format!(
            "the password of `{}` is wrong; set it with `isthmus user add {} --replace`",
            args.name, args.name
        ))),
    }
}

#[derive(Serialize)]
struct Verdict<'a> {
    user: &'a str,
    password_fits: bool,
    disabled: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// What kind is stored, never what.
    secret: &'static str,
    address: Option<std::net::Ipv4Addr>,
    networks: Vec<ipnet::Ipv4Net>,
    group: Option<String>,
    disabled: bool,
}

impl Row {
    fn new(name: &str, user: &User) -> Self {
        Self {
            name: name.to_owned(),
            secret: match user.secret {
                UserSecret::Password(_) => "password",
                UserSecret::NtHash(_) => "nt_hash",
            },
            address: user.address,
            networks: user.networks.clone(),
            group: user.group.clone(),
            disabled: user.disabled,
        }
    }
}

/// The users file meant: the one named, or that of the tenant.
fn users_file(args: &UsersFileArgs) -> Result<PathBuf, CliError> {
    if let Some(file) = &args.file {
        return Ok(file.clone());
    }
    let tenants = config::users_files(&args.config)?;
    let found: Vec<_> = match &args.tenant {
        Some(name) => tenants.iter().filter(|(tenant, _)| tenant == name).collect(),
        None => tenants.iter().collect(),
    };
    match (found.as_slice(), &args.tenant) {
        ([(_, Some(path))], _) => Ok(path.clone()),
        ([(tenant, None)], _) => Err(CliError::Failed(format!(
            "the tenant `{tenant}` has no `users_file`; add one to {}, or name the file with --file",
            args.config.display()
        ))),
        ([], Some(name)) => Err(CliError::Failed(format!("there is no tenant `{name}`"))),
        (_, _) => {
            let names: Vec<_> = tenants.iter().map(|(name, _)| name.as_str()).collect();
            let (many, names) = (count(names.len(), "tenant"), names.join(", "));
            Err(CliError::Usage(format!("there are {many}: say which with --tenant ({names})")))
        }
    }
}

/// A fixed address must fit the tenant, or the gateway would refuse the whole file.
fn check_address(args: &UserAddArgs, address: std::net::Ipv4Addr) -> Result<(), CliError> {
    let loaded = config::load(&args.users.config, &Environment::of_process());
    let Ok((config, _)) = loaded else { return Ok(()) };
    let chosen = |tenant: &&Tenant| match (&args.users.tenant, &args.users.file) {
        (Some(name), _) => tenant.name == *name,
        (None, Some(file)) => tenant.users_file.as_ref() == Some(file),
        (None, None) => tenant.users_file.is_some(),
    };
    let Some(tenant) = config.tenants.iter().find(chosen) else { return Ok(()) };
    let holder = tenant.users.iter().find(|(_, user)| user.address == Some(address));
    let why = if tenant.gateway_address == address {
        String::from("it is the gateway's own")
    } else if !tenant.pool.iter().any(|net| net.contains(&address)) {
        format!("it is not in the pool of `{}`", tenant.name)
    } else if let Some((other, _)) = holder.filter(|(other, _)| *other != args.name) {
        format!("it belongs to `{other}`")
    } else {
        return Ok(());
    };
    Err(CliError::Failed(format!("{address} cannot be given to `{}`: {why}", args.name)))
}

fn read_password(file: Option<&Path>, user: &str, confirm: bool) -> Result<SecretBytes, CliError> {
    let question = format!("Password of {user}");
    Ok(match file {
        Some(path) => users::read_file(path, &question)?,
        None => users::read_stdin(&question, confirm)?,
    })
}
