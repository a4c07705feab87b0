//! Who logs in.

use isthmus_core::SecretBytes;

/// Users and their passwords; `{}` in the user's name becomes a number.
#[derive(Clone, Debug)]
pub struct Names {
    /// The user, or a pattern of users.
    pub user: String,
    /// The number of the first.
    pub first: u32,
    /// Everybody's password, or its pattern.
    pub password: SecretBytes,
    /// Whether `{}` in the password becomes the number, too.
    pub numbered_passwords: bool,
}

impl Names {
    /// The user name of a client.
    pub fn user(&self, client: u32) -> Vec<u8> {
        self.user.replace(PLACE, &self.number(client)).into_bytes()
    }

    /// The password of a client.
    pub fn password(&self, client: u32) -> SecretBytes {
        match std::str::from_utf8(self.password.expose()) {
            Ok(pattern) if self.numbered_passwords => {
                SecretBytes::new(pattern.replace(PLACE, &self.number(client)).into_bytes())
            }
            Ok(_) | Err(_) => self.password.clone(),
        }
    }

    fn number(&self, client: u32) -> String {
        (u64::from(self.first) + u64::from(client)).to_string()
    }
}

/// What becomes a number.
const PLACE: &str = "{}";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(user: &str, numbered_passwords: bool) -> Names {
        let password = SecretBytes::copy_of(b"pw{}");
        Names { user: user.to_owned(), first: 100, password, numbered_passwords }
    }

    #[test]
    fn a_pattern_numbers_users_from_the_first_on() {
        let many = names("load{}@lab", false);
        assert_eq!(
            (many.user(0), many.user(7)),
            (b"load100@lab".to_vec(), b"load107@lab".to_vec())
        );
        assert_eq!(many.password(7).expose(), b"pw{}", "a password may have any characters");
        let one = names("alice", true);
        assert_eq!(one.user(7), b"alice");
        assert_eq!(one.password(7).expose(), b"pw107");
    }
}
