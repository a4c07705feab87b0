//! A throw-away certification authority with one certificate for the gateway and one for the client.

use std::path::Path;
use std::process::Command;

use crate::command::run;
use crate::error::LabError;
use crate::lab::GATEWAY;

/// The kind of all keys of an authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with 2048 bits.
    Rsa,
    /// ECDSA on the curve P-256.
    Ecdsa,
}

impl KeyKind {
    /// The option of `openssl genpkey`.
    fn algorithm(self) -> [&'static str; 4] {
        match self {
            Self::Rsa => ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Self::Ecdsa => ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        }
    }
}

/// Writes `ca.pem`, `gateway.pem`, `gateway.key`, `client.pem` and `client.key` into `folder`. The
/// gateway's certificate names its address and `gw.example`, the client's `alice@example`.
///
/// # Errors
/// `openssl` failed.
pub fn make_pki(folder: &Path, kind: KeyKind) -> Result<(), LabError> {
    std::fs::create_dir_all(folder).map_err(|source| LabError::io(folder, source))?;
    key(folder, "ca", kind)?;
    let extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
    let mut own = openssl(folder);
    own.args(["req", "-x509", "-new", "-key", "ca.key", "-out", "ca.pem", "-days", "30"]);
    own.args(["-subj", "/O=Isthmus Lab/CN=Isthmus Lab CA"]);
    run(own.args(extensions.into_iter().flat_map(|text| ["-addext", text])))?;
    let names = format!("DNS:gw.example,IP:{GATEWAY}");
    certificate(folder, "gateway", kind, "gw.example", &names, "serverAuth")?;
    certificate(folder, "client", kind, "alice", "email:alice@example", "clientAuth")
}

fn certificate(
    folder: &Path,
    file: &str,
    kind: KeyKind,
    common: &str,
    names: &str,
    usage: &str,
) -> Result<(), LabError> {
    key(folder, file, kind)?;
    let (key, request) = (format!("{file}.key"), format!("{file}.req"));
    let subject = format!("/O=Isthmus Lab/CN={common}");
    let mut ask = openssl(folder);
    ask.args(["req", "-new", "-key", &key, "-out", &request, "-subj", &subject]);
    run(&mut ask)?;
    let extensions = folder.join(format!("{file}.ext"));
    let text = format!(
        "subjectAltName={names}\nextendedKeyUsage={usage}\nkeyUsage=critical,digitalSignature\n\
         basicConstraints=critical,CA:FALSE\n"
    );
    std::fs::write(&extensions, text).map_err(|source| LabError::io(&extensions, source))?;
    let mut sign = openssl(folder);
    sign.args(["x509", "-req", "-in", &request, "-CA", "ca.pem", "-CAkey", "ca.key"]);
    sign.args(["-CAcreateserial", "-days", "30", "-extfile"]).arg(&extensions);
    run(sign.args(["-out", &format!("{file}.pem")])).map(drop)
}

fn key(folder: &Path, file: &str, kind: KeyKind) -> Result<(), LabError> {
    let mut make = openssl(folder);
    make.arg("genpkey").args(kind.algorithm());
    run(make.args(["-out", &format!("{file}.key")])).map(drop)
}

fn openssl(folder: &Path) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(folder);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_certificates_are_the_authority_s() {
        for kind in [KeyKind::Rsa, KeyKind::Ecdsa] {
            let name = format!("isthmus-pki-{}-{kind:?}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            make_pki(&folder, kind).expect("a PKI");
            for file in ["gateway.pem", "client.pem"] {
                let mut verify = openssl(&folder);
                verify.args(["verify", "-CAfile", "ca.pem", file]);
                assert!(run(&mut verify).expect("it verifies").contains("OK"));
            }
            std::fs::remove_dir_all(folder).expect("clean up");
        }
    }
}
