//! An Open Network Configuration for ChromeOS, to be imported at `chrome://network#general`.

use serde_json::{Value, json};

use super::Profile;

pub(super) fn onc(profile: &Profile) -> String {
    let mut l2tp = json!({
        "Username": profile.user,
        "SaveCredentials": profile.password.is_some(),
    });
    if let (Some(password), Some(l2tp)) = (&profile.password, l2tp.as_object_mut()) {
        l2tp.insert(String::from("Password"), Value::from(password.as_str()));
    }
    let onc = json!({
        "Type": "UnencryptedConfiguration",
        "NetworkConfigurations": [{
            "GUID": profile.uuid("chromeos"),
            "Name": profile.name,
            "Type": "VPN",
            "VPN": {
                "Type": "L2TP-IPsec",
                "Host": profile.server,
                "AutoConnect": false,
                "IPsec": {
                    "AuthenticationType": "PSK",
                    "IKEVersion": 1,
                    "PSK": profile.psk,
                    "SaveCredentials": true,
                },
                "L2TP": l2tp,
            },
        }],
        "Certificates": [],
    });
    format!("{onc:#}\n")
}
