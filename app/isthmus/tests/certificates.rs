//! The certificate keys of a configuration: what is served, and what is said about mistakes.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests fail by panicking"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use isthmus::config::{self, Changes, Config, Environment};
use isthmus::report::{Report, Severity};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize,
    SignatureAlgorithm, date_time_ymd,
};
use tempfile::TempDir;

/// A folder with certificates and room for a configuration. Only their content counts here, so each
/// certificate is its own authority.
struct Folder(TempDir);

impl Folder {
    /// With `gateway.crt` and `gateway.key` (P-256), and `ca.crt`.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.certificate("gateway", &PKCS_ECDSA_P256_SHA256, |_| {});
        folder.certificate("ca", &PKCS_ECDSA_P256_SHA256, |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        });
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes `name.crt` and `name.key`.
    fn certificate(
        &self,
        name: &str,
        algorithm: &'static SignatureAlgorithm,
        change: fn(&mut CertificateParams),
    ) {
        let key = if algorithm == &PKCS_RSA_SHA256 {
            KeyPair::generate_rsa_for(algorithm, RsaKeySize::_2048).unwrap()
        } else {
            KeyPair::generate_for(algorithm).unwrap()
        };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2060, 1, 1);
        change(&mut params);
        self.write(&format!("{name}.crt"), &params.self_signed(&key).unwrap().pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// Loads these lines as `[ipsec]`, from line 3 on, with one tenant behind them.
    fn load(&self, lines: &str) -> Result<(Config, Report), Report> {
        self.load_with(lines, "")
    }

    /// As [`Folder::load`], with lines for the tenant and all that comes behind.
    fn load_with(&self, lines: &str, behind: &str) -> Result<(Config, Report), Report> {
        let text = format!(
            "[ipsec]\npsk = \"correct horse battery\"\n{lines}\n[[tenant]]\nname = \"acme\"\n\
             pool = [\"10.64.0.0/20\"]\nusers.alice.password = \"a\"\n{behind}\n"
        );
        self.write("isthmus.toml", &text);
        config::load(&self.path().join("isthmus.toml"), &Environment::default())
    }

    fn valid(&self, lines: &str) -> Config {
        match self.load(lines) {
            Ok((config, report)) => {
                assert!(report.view().is_empty(), "{report}");
                config
            }
            Err(report) => panic!("{report}"),
        }
    }

    /// Asserts that the lines are refused with exactly one error.
    #[track_caller]
    fn refused(&self, lines: &str, line: Option<usize>, message: &str, remedy: &str) {
        refused(self.load(lines), line, message, remedy);
    }

    /// Asserts that the lines are taken with exactly this warning.
    #[track_caller]
    fn warned(&self, lines: &str, message: &str) {
        let (config, report) = self.load(lines).unwrap_or_else(|report| panic!("{report}"));
        let view = report.view();
        assert_eq!(view.len(), 1, "{report}");
        assert_eq!((view[0].severity, view[0].line), (Severity::Warning, Some(3)), "{report}");
        assert!(view[0].message.contains(message), "{report}");
        assert!(config.ipsec.certificates.is_some(), "it is used all the same");
    }
}

#[track_caller]
fn refused(
    loaded: Result<(Config, Report), Report>,
    line: Option<usize>,
    message: &str,
    remedy: &str,
) {
    let Err(report) = loaded else { panic!("taken: {message}") };
    let view = report.view();
    let errors: Vec<_> = view.iter().filter(|p| p.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{report}");
    assert_eq!(errors[0].line, line, "{report}");
    assert!(errors[0].message.contains(message), "{report}");
    assert!(errors[0].remedy.contains(remedy), "{report}");
}

/// The keys that serve.
const GOOD: &str = "certificate_file = \"gateway.crt\"\nkey_file = \"gateway.key\"\n\
                    ca_file = \"ca.crt\"";

#[test]
fn one_certificate_or_one_of_each_kind_is_served() {
    let folder = Folder::new();
    let one = folder.valid(GOOD).ipsec.certificates.unwrap();
    assert_eq!((one.own.len(), one.authorities.len()), (1, 1));
    folder.certificate("rsa", &PKCS_RSA_SHA256, |_| {});
    folder.certificate("p384", &PKCS_ECDSA_P384_SHA384, |_| {});
    let three = "certificate_file = [\"rsa.crt\", \"gateway.crt\", \"p384.crt\"]\n\
                 key_file = [\"rsa.key\", \"gateway.key\", \"p384.key\"]\nca_file = \"ca.crt\"";
    let three = folder.valid(three).ipsec.certificates.unwrap();
    assert_eq!(three.own.len(), 3);
    assert_eq!(three.own[1], one.own[0], "in the order of the list");
}

#[test]
fn a_certificate_that_was_renewed_takes_effect_on_reload() {
    let folder = Folder::new();
    let running = folder.valid(GOOD);
    assert_eq!(config::compare(&running, &folder.valid(GOOD)), Changes::default());
    folder.certificate("gateway", &PKCS_ECDSA_P256_SHA256, |_| {});
    let renewed = folder.valid(GOOD);
    let changes = config::compare(&running, &renewed);
    assert_eq!((changes.applied, changes.needs_restart), (vec!["ipsec".to_owned()], vec![]));
    let effective = config::effective(&running, &renewed);
    assert_eq!(effective.ipsec.certificates, renewed.ipsec.certificates);
}

#[test]
fn a_certificate_and_its_key_stand_together() {
    let folder = Folder::new();
    let together = "`certificate_file` and `key_file` belong together";
    let alone = "certificate_file = \"gateway.crt\"\nca_file = \"ca.crt\"";
    folder.refused(alone, Some(3), together, "set both, or neither");
    let alone = "ca_file = \"ca.crt\"\nkey_file = \"gateway.key\"";
    folder.refused(alone, Some(4), together, "set both, or neither");

    let of = |certificates: &str, keys: &str| {
        format!("certificate_file = {certificates}\nkey_file = {keys}\nca_file = \"ca.crt\"")
    };
    let few = of("[\"gateway.crt\", \"ca.crt\"]", "\"gateway.key\"");
    folder.refused(&few, Some(4), "not as many keys as certificates", "in the same order");
    folder.refused(&of("[]", "[]"), Some(3), "the list is empty", "at least one");
    let foreign = of("\"gateway.crt\"", "\"ca.key\"");
    folder.refused(&foreign, Some(4), "not that of the certificate", "");
    let same = of("[\"gateway.crt\", \"ca.crt\"]", "[\"gateway.key\", \"ca.key\"]");
    folder.refused(&same, Some(3), "a key of the same kind", "one of each kind");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    folder.write("empty.pem", "nothing here\n");
    folder.write("broken.pem", &GARBAGE.replace("NAME", "CERTIFICATE"));
    folder.write("broken.key", &GARBAGE.replace("NAME", "PRIVATE KEY"));
    for (good, bad, line, message) in [
        ("gateway.crt", "gone.crt", 3, "cannot read `"),
        ("gateway.crt", "empty.pem", 3, "there is no certificate in `"),
        ("gateway.crt", "broken.pem", 3, "our certificate is unusable"),
        ("gateway.key", "gone.key", 4, "cannot read `"),
        ("gateway.key", "empty.pem", 4, "there is no private key in `"),
        ("gateway.key", "broken.key", 4, "the private key cannot be read"),
        ("ca.crt", "gone.crt", 5, "cannot read `"),
        ("ca.crt", "empty.pem", 5, "there is no certificate in `"),
        ("ca.crt", "broken.pem", 5, "the certificate of an authority cannot be read"),
    ] {
        let Err(report) = folder.load(&GOOD.replace(good, bad)) else { panic!("{bad} is taken") };
        let first = &report.view()[0];
        assert_eq!(first.line, Some(line), "{report}");
        assert!(first.message.contains(message), "{report}");
    }
}

#[test]
fn a_revocation_list_that_cannot_be_read_is_refused() {
    let folder = Folder::new();
    let with = |name: &str| format!("{GOOD}\ncrl_file = \"{name}\"");
    folder.write("empty.pem", "nothing here\n");
    folder.write("broken.pem", &GARBAGE.replace("NAME", "X509 CRL"));
    folder.refused(&with("gone.crl"), Some(6), "cannot read `", "the permissions");
    folder.refused(&with("empty.pem"), Some(6), "no revocation list in `", "as PEM");
    folder.refused(&with("broken.pem"), Some(6), "revocation list cannot be read", "again as PEM");
    // A certificate is no revocation list.
    folder.refused(&with("ca.crt"), Some(6), "no revocation list in `", "as PEM");
}

#[test]
fn a_certificate_that_clients_will_refuse_is_warned_of() {
    let folder = Folder::new();
    let renew = |change: fn(&mut CertificateParams)| {
        folder.certificate("gateway", &PKCS_ECDSA_P256_SHA256, change);
    };
    renew(|params| params.not_after = date_time_ymd(2021, 1, 1));
    folder.warned(GOOD, "the certificate has expired");
    renew(|params| params.not_before = date_time_ymd(2059, 1, 1));
    folder.warned(GOOD, "the certificate is not valid yet");
    renew(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    folder.warned(GOOD, "the certificate is not for IPsec");
    for good in [
        |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        },
        |params: &mut CertificateParams| {
            let ike = ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ike];
        },
        |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
        },
    ] {
        renew(good);
        folder.valid(GOOD);
    }
}

#[test]
fn authorities_lead_to_one_tenant_each_and_need_a_certificate_of_our_own() {
    let folder = Folder::new();
    let lonely = "authorities without a certificate of our own";
    folder.refused("ca_file = \"ca.crt\"", Some(3), lonely, "set `certificate_file`");
    let own = GOOD.lines().take(2).collect::<Vec<_>>().join("\n");
    folder.refused(&own, None, "no authority", "set `ca_file`");
    let lonely_tenant = folder.load_with("", "ca_file = \"ca.crt\"");
    refused(lonely_tenant, Some(8), lonely, "set `certificate_file`");

    let config = folder.load_with(&own, "ca_file = \"ca.crt\"").unwrap().0;
    assert_eq!(config.tenants[0].authorities.len(), 1);
    let second = "[[tenant]]\nname = \"other\"\npsk = \"another long key\"\n\
                  pool = [\"10.65.0.0/20\"]\nusers.bob.password = \"b\"\n";
    let unclear = folder.load_with(GOOD, second);
    refused(unclear, Some(11), "does not say which is meant", "move it to the tenants");
    let twice = format!("ca_file = \"ca.crt\"\n{second}ca_file = \"ca.crt\"");
    let twice = folder.load_with(&own, &twice);
    refused(twice, Some(15), "`other` has the same authority as", "set `realm`");
    let told = folder.load_with(
        &own,
        &format!("ca_file = \"ca.crt\"\n{second}ca_file = \"ca.crt\"\nrealm = \"b\""),
    );
    assert_eq!(told.unwrap().0.tenants[1].realm, ["b"]);
}

#[test]
fn usages_and_names_are_checked() {
    let folder = Folder::new();
    let policy = |line: &str| folder.valid(&format!("{GOOD}\n{line}")).ipsec.certificates.unwrap();
    let default = policy("").policy;
    assert_eq!(
        (default.usages.len(), default.usage_required, default.name_required),
        (3, false, true)
    );
    let strict = policy("certificate_usages = [\"ipsec\"]\ncertificate_names = false").policy;
    assert_eq!(
        (strict.usages.len(), strict.usage_required, strict.name_required),
        (1, true, false)
    );

    let with = |line: &str| format!("{GOOD}\n{line}");
    let unknown = with("certificate_usages = [\"ipsek\"]");
    folder.refused(&unknown, Some(6), "`ipsek` is not known", "did you mean \"ipsec\"?");
    let twice = with("certificate_usages = [\"ipsec\", \"ipsec\"]");
    folder.refused(&twice, Some(6), "in the list twice", "remove one");
    folder.refused(&with("certificate_usages = []"), Some(6), "the list is empty", "at least one");
    let text = with("certificate_names = \"yes\"");
    folder.refused(&text, Some(6), "true or false", "without quotes");
}

/// PEM around DER that is nothing.
const GARBAGE: &str = "-----BEGIN NAME-----\nMIIBAA==\n-----END NAME-----\n";
