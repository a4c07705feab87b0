//! The users file changes under a running gateway.

use std::fs;
use std::time::Duration;

use isthmus_interop::{Access, LabError, wait_for};
use isthmus_netns::{Client, Config, Dial, Site};
use serde_json::Value;

#[test]
fn an_added_user_logs_in_within_seconds_and_a_broken_file_changes_nothing() -> Result<(), LabError>
{
    let mut site = Site::open("users", Access::Nat, Config::default())?;
    let host = site.client_host()?;
    let folder = site.gateway().folder().to_owned();
    let users = folder.join("acme.users");
    wait_users(&mut site, 1)?;

    fs::write(folder.join("dave.password"), "open sesame\n").expect("a file");
    let words = ["user", "add", "dave", "--config", "gateway.toml"];
    site.gateway().cli(&[&words[..], &["--password-file", "dave.password"]].concat())?;
    wait_users(&mut site, 2)?;
    let dave = Dial::new().user("dave", "open sesame");
    let (client, _) = Client::connect(&site, &host, &dave)?;
    assert_eq!(site.gateway().sessions()?.at("/0/user")?, "dave");
    client.hang_up()?;

    let good = fs::read_to_string(&users).expect("the file");
    fs::write(&users, "[users.dave\npassword = ").expect("the file");
    site.expect_complaint("acme.users");
    wait_for("a complaint about the broken file", RELOAD_LIMIT, || {
        Ok(site.gateway().log().contains("acme.users").then_some(()))
    })?;
    wait_users(&mut site, 2)?;
    for dial in [Dial::new(), dave] {
        let (client, _) = Client::connect(&site, &host, &dial)?;
        client.hang_up()?;
    }

    fs::write(&users, good.replace("[users.dave]", "[users.erin]")).expect("the file");
    wait_for("the repaired file", RELOAD_LIMIT, || {
        let erin = Dial::new().user("erin", "open sesame");
        let mut client = Client::start(&site, &host, &erin)?;
        match client.wait_up() {
            Ok(_) => client.hang_up().map(Some),
            Err(_) => Ok(None),
        }
    })?;
    site.close()?.passed();
    Ok(())
}

fn wait_users(site: &mut Site, number: u64) -> Result<(), LabError> {
    let gateway = site.gateway();
    wait_for(&format!("{number} users"), RELOAD_LIMIT, || {
        let status = gateway.status()?;
        Ok((status.at("/tenants/0/users")? == &Value::from(number)).then_some(()))
    })
}

/// "Within seconds".
const RELOAD_LIMIT: Duration = Duration::from_secs(10);
