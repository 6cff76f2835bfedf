//! Settings by dotted keys: put into a table of TOML, read out of one, and places filled in.

use crate::{Error, Result};
use std::path::Path;
use toml::{Table, Value};

/// Sets `key`, whose dots are steps into tables that are made where they are missing. A table given
/// for a table is merged into it.
///
/// # Errors
/// A step leads into something that is no table.
pub fn set(table: &mut Table, key: &str, value: &Value) -> Result<()> {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    if first.is_empty() || rest.is_some_and(str::is_empty) {
        return Err(Error::Invalid(format!("{key:?} is no dotted key")));
    }
    let inside = |table: &mut Table, f: &mut dyn FnMut(&mut Table) -> Result<()>| {
        let entry = table.entry(first);
        match entry.or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => f(inner),
            other => Err(Error::Invalid(format!(
                "{key} leads into {first}, which is a {} and no table",
                other.type_str()
            ))),
        }
    };
    match (rest, value) {
        (Some(rest), _) => inside(table, &mut |inner| set(inner, rest, value)),
        (None, Value::Table(values)) => inside(table, &mut |inner| {
            let mut pairs = values.iter();
            pairs.try_for_each(|(key, value)| set(inner, key, value))
        }),
        (None, _) => {
            table.insert(first.into(), value.clone());
            Ok(())
        }
    }
}

/// All values that are no tables, with their dotted keys, in order of keys.
pub fn leaves(table: &Table) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                let inner = leaves(inner).into_iter();
                found.extend(inner.map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            _ => found.push((key.clone(), value.clone())),
        }
    }
    found
}

/// Replaces names such as `{data}` at the start of texts, wherever they stand below `value`.
///
/// # Errors
/// A path that is not UTF-8.
pub fn fill(value: &mut Value, places: &[(&str, &Path)]) -> Result<()> {
    match value {
        Value::String(text) => {
            for (name, path) in places {
                if let Some(rest) = text.strip_prefix(name) {
                    let path = path.to_str().ok_or_else(|| {
                        Error::Invalid(format!("{} is not UTF-8", path.display()))
                    })?;
                    *text = format!("{path}{rest}");
                    break;
                }
            }
            Ok(())
        }
        Value::Array(values) => values.iter_mut().try_for_each(|v| fill(v, places)),
        Value::Table(values) => values.iter_mut().try_for_each(|(_, v)| fill(v, places)),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn dotted_keys_reach_into_tables_and_tables_are_merged() {
        let mut table: Table = "[llm]\nmodel = 'm'\n[llm.detect]\ncount = 16\nseed = 3"
            .parse()
            .unwrap();
        set(&mut table, "llm.detect.count", &Value::Integer(4)).unwrap();
        set(&mut table, "objective.name", &"infonce".into()).unwrap();
        let more: Table = "gate = 0.5\n[detect]\nqueries = 8".parse().unwrap();
        set(&mut table, "llm", &Value::Table(more)).unwrap();
        let wanted: Table =
            "[llm]\nmodel = 'm'\ngate = 0.5\n[llm.detect]\ncount = 4\nqueries = 8\nseed = 3\n\
             [objective]\nname = 'infonce'"
                .parse()
                .unwrap();
        assert_eq!(table, wanted);
        let error = set(&mut table, "llm.model.x", &Value::Integer(1)).unwrap_err();
        assert!(error.to_string().contains("model"), "{error}");
        assert!(set(&mut table, "llm..x", &Value::Integer(1)).is_err());
    }

    #[test]
    fn leaves_have_dotted_keys_whether_they_were_quoted_or_nested() {
        let table: Table = "seed = [1]\n'data.candidates' = [4, 8]\n[objective]\nname = ['a']"
            .parse()
            .unwrap();
        let keys: Vec<String> = leaves(&table).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["data.candidates", "objective.name", "seed"]);
    }

    #[test]
    fn places_are_filled_in_at_the_start_of_a_text_only() {
        let mut value: Value =
            toml::Value::Table("a = '{data}/x'\nb = 'not {data}'".parse().unwrap());
        fill(&mut value, &[("{data}", Path::new("/d"))]).unwrap();
        assert_eq!(value["a"].as_str(), Some("/d/x"));
        assert_eq!(value["b"].as_str(), Some("not {data}"));
    }
}
