//! The text of a policy as a tree of values with their places, for TOML and JSON alike.

use super::error::{Place, PolicyError, PolicyErrorCode as Code};
use jsonc_parser::{CollectOptions, ParseOptions, ast};
use std::collections::BTreeMap;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The maximum length of a text, in bytes.
pub(super) const MAX_LENGTH: usize = 1 << 20;
/// The maximum depth of nesting.
const MAX_DEPTH: usize = 16;

/// The format of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyFormat {
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

/// A value, with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// A number, as written.
    Number(String),
    /// A time, as written: TOML has unquoted times.
    Time(String),
    List(Vec<Node>),
    Table(Table),
    /// Anything else, by its name.
    Other(&'static str),
}

/// Members ordered by name, each with the place of its name.
pub(super) type Table = BTreeMap<String, (Place, Node)>;

impl Value {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Time(_) => "a time",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Parses a text.
pub(super) fn parse(text: &str, format: PolicyFormat) -> Result<Node, PolicyError> {
    if text.len() > MAX_LENGTH {
        let message = format!(
            "{} bytes are too long for a policy: the maximum is {MAX_LENGTH}",
            text.len()
        );
        return Err(PolicyError::new(
            Code::TooLarge,
            Place { line: 1, column: 1 },
            message,
        ));
    }
    match format {
        PolicyFormat::Toml => parse_toml(text),
        PolicyFormat::Json => parse_json(text),
    }
}

fn too_deep(place: Place) -> PolicyError {
    PolicyError::new(Code::TooLarge, place, "nested too deeply for a policy")
}

fn parse_toml(text: &str) -> Result<Node, PolicyError> {
    let table = DeTable::parse(text).map_err(|error| {
        let place = Place::of(text, error.span().map_or(0, |span| span.start));
        let code = if error.message().contains("duplicate key") {
            Code::DuplicateMember
        } else {
            Code::Syntax
        };
        PolicyError::new(code, place, format!("this is not TOML: {}", error.message()))
    })?;
    let place = Place { line: 1, column: 1 };
    let value = Value::Table(toml_table(text, table.get_ref(), 0)?);
    Ok(Node { place, value })
}

fn toml_table(text: &str, table: &DeTable<'_>, depth: usize) -> Result<Table, PolicyError> {
    let members = table.iter().map(|(name, value)| {
        let place = Place::of(text, name.span().start);
        let node = toml_node(text, value, place, depth)?;
        Ok((name.get_ref().to_string(), (place, node)))
    });
    members.collect()
}

fn toml_node(
    text: &str,
    value: &Spanned<DeValue<'_>>,
    name: Place,
    depth: usize,
) -> Result<Node, PolicyError> {
    // A table in a separate section has no place of its own.
    let place = match value.span() {
        span if span.is_empty() => name,
        span => Place::of(text, span.start),
    };
    if depth > MAX_DEPTH {
        return Err(too_deep(place));
    }
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Number(number.to_string()),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Datetime(time) => Value::Time(time.to_string()),
        DeValue::Boolean(_) => Value::Other("true or false"),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| toml_node(text, item, place, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Value::Table(toml_table(text, table, depth + 1)?),
    };
    Ok(Node { place, value })
}

fn parse_json(text: &str) -> Result<Node, PolicyError> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let syntax = |byte: usize, message: String| {
        PolicyError::new(
            Code::Syntax,
            Place::of(text, byte),
            format!("this is not JSON: {message}"),
        )
    };
    let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &strict)
        .map_err(|error| syntax(error.range().start, error.kind().to_string()))?;
    let value = parsed
        .value
        .ok_or_else(|| syntax(text.len(), "the text is empty".to_owned()))?;
    json_node(text, value, 0)
}

fn json_node(text: &str, value: ast::Value<'_>, depth: usize) -> Result<Node, PolicyError> {
    use jsonc_parser::common::Ranged as _;
    let place = Place::of(text, value.range().start);
    if depth > MAX_DEPTH {
        return Err(too_deep(place));
    }
    let value = match value {
        ast::Value::StringLit(text) => Value::Text(text.value.into_owned()),
        ast::Value::NumberLit(number) => Value::Number(number.value.to_owned()),
        ast::Value::BooleanLit(_) => Value::Other("true or false"),
        ast::Value::NullKeyword(_) => Value::Other("null"),
        ast::Value::Array(items) => Value::List(
            items
                .elements
                .into_iter()
                .map(|item| json_node(text, item, depth + 1))
                .collect::<Result<_, _>>()?,
        ),
        ast::Value::Object(object) => {
            let mut table = Table::new();
            for member in object.properties {
                let place = Place::of(text, member.range.start);
                let name = member.name.into_string();
                let node = json_node(text, member.value, depth + 1)?;
                if table.insert(name.clone(), (place, node)).is_some() {
                    return Err(PolicyError::new(
                        Code::DuplicateMember,
                        place,
                        format!("{name:?} appears twice"),
                    ));
                }
            }
            Value::Table(table)
        }
    };
    Ok(Node { place, value })
}
