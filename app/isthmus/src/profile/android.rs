//! Instructions for Android up to 11, which reads no file.

use super::Profile;

pub(super) fn text(profile: &Profile) -> String {
    let Profile { name, server, user, psk, .. } = profile;
    let password = profile.password.as_deref().unwrap_or("(the user's own)");
    let group = profile.group.as_deref().unwrap_or("(not used)");
    let warning = if profile.legacy {
        ""
    } else {
        "\nThis gateway does not let Android in yet: up to 11 it knows only weak groups. Set `legacy = true`\n\
         in [ipsec] if you accept that.\n"
    };
    let routes: Vec<String> =
        profile.routes.iter().map(|route| route.trunc().to_string()).collect();
    let routes = if routes.is_empty() {
        String::from("empty: everything goes through the tunnel")
    } else {
        routes.join(" ")
    };
    format!(
        "Android up to 11 (later versions have no L2TP)\n\
         \n\
         Settings > Network & internet > Advanced > VPN > +\n\
         \n\
         \x20 Name                    {name}\n\
         \x20 Type                    L2TP/IPSec PSK\n\
         \x20 Server address          {server}\n\
         \x20 L2TP secret             (not used)\n\
         \x20 IPSec identifier        {group}\n\
         \x20 IPSec pre-shared key    {psk}\n\
         \n\
         Show advanced options\n\
         \x20 DNS search domains      (empty)\n\
         \x20 DNS servers             (empty: the gateway tells them)\n\
         \x20 Forwarding routes       {routes}\n\
         \n\
         Save, tap the connection, and enter\n\
         \x20 Username                {user}\n\
         \x20 Password                {password}\n{warning}"
    )
}
