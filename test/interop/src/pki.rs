//! Throw-away certification authorities, and certificates for the gateway and for clients.

use std::path::Path;
use std::process::Command;

use crate::command::run;
use crate::error::LabError;
use crate::lab::GATEWAY;
use crate::scenario::Scenario;

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

/// An authority whose key and certificate stand in a folder.
#[derive(Debug)]
pub struct Authority<'a> {
    folder: &'a Path,
    name: &'a str,
    kind: KeyKind,
}

/// What a certificate says.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The common name.
    pub common: &'a str,
    /// The subject alternative names, as `openssl` takes them.
    pub names: &'a str,
    /// The extended key usage, as `openssl` takes it.
    pub usage: &'a str,
}

impl<'a> Authority<'a> {
    /// Makes an authority; writes `<name>.pem` and `<name>.key` into `folder`.
    ///
    /// # Errors
    /// `openssl` failed.
    pub fn make(folder: &'a Path, name: &'a str, kind: KeyKind) -> Result<Self, LabError> {
        std::fs::create_dir_all(folder).map_err(|source| LabError::io(folder, source))?;
        let authority = Self { folder, name, kind };
        authority.key(name)?;
        let mut own = authority.openssl();
        own.args(["req", "-x509", "-new", "-days", "30", "-key", &format!("{name}.key")]);
        own.args(["-out", &format!("{name}.pem")]);
        own.args(["-subj", &format!("/O=Isthmus Lab/CN=Isthmus Lab {name}")]);
        for extension in
            ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
        {
            own.args(["-addext", extension]);
        }
        run(&mut own)?;
        Ok(authority)
    }

    /// Makes a key and a certificate for `subject`; writes `<file>.pem` and `<file>.key`.
    ///
    /// # Errors
    /// `openssl` failed.
    pub fn certify(&self, file: &str, subject: Subject<'_>) -> Result<(), LabError> {
        self.key(file)?;
        let Subject { common, names, usage } = subject;
        let mut ask = self.openssl();
        ask.args(["req", "-new", "-key", &format!("{file}.key"), "-out", &format!("{file}.req")]);
        run(ask.args(["-subj", &format!("/O=Isthmus Lab/CN={common}")]))?;
        let extensions = self.folder.join(format!("{file}.ext"));
        let text = format!(
            "subjectAltName={names}\nextendedKeyUsage={usage}\nkeyUsage=critical,digitalSignature\n\
             basicConstraints=critical,CA:FALSE\n"
        );
        std::fs::write(&extensions, text).map_err(|source| LabError::io(&extensions, source))?;
        let mut sign = self.openssl();
        sign.args(["x509", "-req", "-CAcreateserial", "-days", "30"]);
        sign.args(["-CA", &format!("{}.pem", self.name), "-CAkey", &format!("{}.key", self.name)]);
        sign.args(["-in", &format!("{file}.req"), "-out", &format!("{file}.pem"), "-extfile"]);
        run(sign.arg(&extensions)).map(drop)
    }

    fn key(&self, file: &str) -> Result<(), LabError> {
        let mut make = self.openssl();
        make.arg("genpkey").args(self.kind.algorithm());
        run(make.args(["-out", &format!("{file}.key")])).map(drop)
    }

    fn openssl(&self) -> Command {
        let mut command = Command::new("openssl");
        command.current_dir(self.folder);
        command
    }
}

/// Makes the authority `ca` in `folder`, and by it `gateway` and `client`. The gateway's certificate
/// names its address and `gw.example`, the client's `alice@example`.
///
/// # Errors
/// `openssl` failed.
pub fn make_pki(folder: &Path, kind: KeyKind) -> Result<(), LabError> {
    let authority = Authority::make(folder, "ca", kind)?;
    let names = format!("DNS:gw.example,IP:{GATEWAY}");
    let gateway = Subject { common: "gw.example", names: &names, usage: "serverAuth" };
    authority.certify("gateway", gateway)?;
    authority.certify("client", ALICE)
}

/// The client of [`make_pki`].
pub const ALICE: Subject<'static> =
    Subject { common: "alice", names: "email:alice@example", usage: "clientAuth" };

/// Makes the keys and puts them where the gateway and strongSwan look for them.
///
/// # Errors
/// `openssl` failed, or a file cannot be written.
pub fn place_keys(scenario: &Scenario, kind: KeyKind) -> Result<(), LabError> {
    let made = scenario.folder().join("pki");
    make_pki(&made, kind)?;
    let peer = scenario.folder().join("hosts/peer/etc");
    let places = [
        ("ca.pem", scenario.gateway().join("ca.pem")),
        ("gateway.pem", scenario.gateway().join("gateway.pem")),
        ("gateway.key", scenario.gateway().join("gateway.key")),
        ("ca.pem", peer.join("ipsec.d/cacerts/ca.pem")),
        ("client.pem", peer.join("ipsec.d/certs/client.pem")),
        ("client.key", peer.join("ipsec.d/private/client.key")),
    ];
    for (name, place) in places {
        copy(&made.join(name), &place)?;
    }
    let word = match kind {
        KeyKind::Rsa => "RSA",
        KeyKind::Ecdsa => "ECDSA",
    };
    let secrets = peer.join("ipsec.secrets");
    std::fs::write(&secrets, format!(": {word} client.key\n"))
        .map_err(|source| LabError::io(&secrets, source))
}

fn copy(from: &Path, to: &Path) -> Result<(), LabError> {
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::copy(from, to))
        .map(drop)
        .map_err(|source| LabError::io(to, source))
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
                assert!(verify(&folder, file).expect("it verifies").contains("OK"));
            }
            let other = Authority::make(&folder, "other-ca", kind).expect("another authority");
            other.certify("stranger", ALICE).expect("a certificate");
            verify(&folder, "stranger.pem").expect_err("another authority's");
            std::fs::remove_dir_all(folder).expect("clean up");
        }
    }

    fn verify(folder: &Path, file: &str) -> Result<String, LabError> {
        let mut verify = Command::new("openssl");
        run(verify.current_dir(folder).args(["verify", "-CAfile", "ca.pem", file]))
    }
}
