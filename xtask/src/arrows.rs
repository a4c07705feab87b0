//! Dependency arrows: `proto/` <- `shell/` <- `app/`, and protocol crates do not know each other.

use std::path::Path;

/// Each crate that has rules, and the workspace crates it may depend on (dev-dependencies aside).
const ARROWS: [(&str, &[&str]); 22] = [
    ("proto/core", &[]),
    ("proto/wire", &["core"]),
    ("proto/crypto", &["core"]),
    ("proto/esp", &["core", "wire", "crypto"]),
    ("proto/ike", &["core", "wire", "crypto"]),
    ("proto/l2tp", &["core", "wire", "crypto"]),
    ("proto/ppp", &["core", "wire", "crypto"]),
    ("proto/plane", &["core", "wire", "crypto", "esp", "l2tp", "ppp"]),
    ("proto/gateway", &["core", "wire", "crypto", "ike", "esp", "l2tp", "ppp", "plane"]),
    ("proto/client", &["core", "wire", "crypto", "ike", "esp", "l2tp", "ppp", "plane"]),
    ("proto/policy", &[]),
    ("proto/findings", &[]),
    ("shell/crypto-aws", &["core", "crypto"]),
    ("shell/crypto-mb", &["core", "crypto"]),
    ("shell/trust", &["crypto", "crypto-aws"]),
    ("shell/net", &["core"]),
    ("shell/tun", &["core", "wire", "net"]),
    ("shell/dataplane", &["core", "crypto", "plane", "net", "tun"]),
    ("shell/kernel", &["net"]),
    (
        "shell/load",
        &["core", "wire", "crypto", "ike", "plane", "client", "dataplane", "net", "tun"],
    ),
    ("shell/telemetry", &["core", "plane", "gateway"]),
    (
        "shell/driver",
        &[
            "core",
            "wire",
            "crypto",
            "crypto-aws",
            "ike",
            "l2tp",
            "ppp",
            "plane",
            "gateway",
            "client",
            "dataplane",
            "net",
            "tun",
            "kernel",
            "policy",
            "telemetry",
        ],
    ),
];

/// Checks every manifest that has rules.
pub(crate) fn check(root: &Path) -> Vec<String> {
    ARROWS.iter().flat_map(|(dir, allowed)| check_one(root, dir, allowed)).collect()
}

fn check_one(root: &Path, dir: &str, allowed: &[&str]) -> Vec<String> {
    let manifest = root.join(dir).join("Cargo.toml");
    let Ok(text) = std::fs::read_to_string(&manifest) else {
        return vec![format!("{dir}/Cargo.toml: missing")];
    };
    forbidden(&text, allowed)
        .into_iter()
        .map(|name| format!("{dir}/Cargo.toml: `isthmus-{name}` breaks the dependency arrows"))
        .collect()
}

/// Workspace crates under `[dependencies]` that are not allowed.
fn forbidden(manifest: &str, allowed: &[&str]) -> Vec<String> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if section == "[dependencies]"
            && let Some(name) = name.strip_prefix("isthmus-")
            && !allowed.contains(&name)
        {
            found.push(name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_dependencies_count() {
        let manifest = "[dependencies]\nisthmus-core.workspace = true\nisthmus-ike.workspace = true\n\
                        [dev-dependencies]\nisthmus-sim.workspace = true\n";
        assert_eq!(forbidden(manifest, &["core"]), ["ike"]);
        assert!(forbidden(manifest, &["core", "ike"]).is_empty());
    }
}
