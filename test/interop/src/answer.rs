//! What `isthmus status --json` and its like say, read without knowing the product's types.

use serde_json::Value;

use crate::error::LabError;

/// What one command of the binary printed with `--json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    value: Value,
}

impl Answer {
    /// Reads the command's output.
    pub fn parse(text: &str) -> Result<Self, LabError> {
        serde_json::from_str(text)
            .map(|value| Self { value })
            .map_err(|error| LabError::unexpected(format!("no JSON ({error}): {text}")))
    }

    /// How many things of the top-level `key` there are: a list's length, or a number.
    ///
    /// # Errors
    /// The key is missing or neither: an absent key must not pass for "none".
    pub fn count(&self, key: &str) -> Result<u64, LabError> {
        let count = match self.value.get(key) {
            Some(Value::Array(list)) => u64::try_from(list.len()).ok(),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::Null | Value::Bool(_) | Value::String(_) | Value::Object(_)) | None => None,
        };
        count.ok_or_else(|| {
            LabError::unexpected(format!("no list or number `{key}` in: {}", self.value))
        })
    }

    /// The value that a JSON pointer (RFC 6901) such as `/failures/0/cause` leads to.
    ///
    /// # Errors
    /// There is none: an absent value must not pass for an empty one.
    pub fn at(&self, pointer: &str) -> Result<&Value, LabError> {
        self.value
            .pointer(pointer)
            .ok_or_else(|| LabError::unexpected(format!("no `{pointer}` in: {}", self.value)))
    }

    /// Whether `text` is a string value anywhere in the answer.
    pub fn mentions(&self, text: &str) -> bool {
        mentions(&self.value, text)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.value)
    }
}

fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string == text,
        Value::Array(list) => list.iter().any(|value| mentions(value, text)),
        Value::Object(map) => map.values().any(|value| mentions(value, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_numbers_are_counted_and_absence_is_an_error() {
        let status = Answer::parse(
            r#"{"peers": 2, "sessions": [{"user": "alice"}], "name": "use1-a", "none": []}"#,
        )
        .expect("JSON");
        assert_eq!(status.count("peers").ok(), Some(2));
        assert_eq!(status.count("sessions").ok(), Some(1));
        assert_eq!(status.count("none").ok(), Some(0));
        assert!(status.count("name").is_err());
        assert!(status.count("tunnels").is_err());
        assert_eq!(status.at("/sessions/0/user").ok(), Some(&Value::from("alice")));
        assert!(status.at("/sessions/1").is_err());
        assert!(status.mentions("alice"));
        assert!(!status.mentions("bob"));
    }

    #[test]
    fn text_that_is_no_json_is_refused() {
        assert!(Answer::parse("sessions: none").is_err());
    }
}
