//! TOML with the line and the dotted key of everything in it.
//!
//! A [`Section`] is read key by key; what nobody asked for is an unknown key. Must not know which
//! keys there are, nor what their values mean.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::syntax::{line_of, syntax_problem};

/// The line of each key that the file gives, by its full dotted name; of several forms, the first's.
pub type Origins = BTreeMap<String, usize>;

/// A value and where it stands.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// Why a value is not accepted, and at which byte of the text.
pub(super) struct Fault {
    offset: usize,
    what: String,
}

impl Fault {
    pub(super) fn at(value: &Value<'_>, what: impl Into<String>) -> Self {
        Self {
            offset: value.span().start,
            what: what.into(),
        }
    }
}

/// A parsed file while it is being read.
pub(super) struct Document<'t> {
    root: DeTable<'t>,
    notes: Notes<'t>,
}

/// What reading has shown so far.
struct Notes<'t> {
    text: &'t str,
    problems: Vec<Problem>,
    origins: Origins,
    /// Every key that was asked for, given or not: its table and its name.
    known: BTreeSet<(String, &'static str)>,
    /// What is left after the asking.
    unknown: Vec<Unknown>,
}

/// A key that nobody asked for.
struct Unknown {
    table: String,
    name: String,
    line: usize,
}

/// One table of the file. A table that the file leaves out is an empty one.
pub(super) struct Section<'n, 't> {
    key: String,
    offset: usize,
    table: DeTable<'t>,
    notes: &'n mut Notes<'t>,
}

impl<'t> Document<'t> {
    /// Parses `text`, or says what is not TOML in it.
    pub(super) fn parse(text: &'t str) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // What was recovered is a guess, and its values are not worth a word.
            return Err(errors
                .iter()
                .map(|error| syntax_problem(text, error))
                .collect());
        }
        Ok(Self {
            root: root.into_inner(),
            notes: Notes {
                text,
                problems: Vec::new(),
                origins: Origins::new(),
                known: BTreeSet::new(),
                unknown: Vec::new(),
            },
        })
    }

    /// Lets `read` ask the table `name` for its keys.
    pub(super) fn section(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_, 't>)) {
        self.notes.known.insert((String::new(), name));
        let found = self.root.remove(name);
        let offset = found.as_ref().map_or(0, |value| value.span().start);
        let table = match found.map(Spanned::into_inner) {
            None => DeTable::new(),
            Some(DeValue::Table(table)) => table,
            Some(other) => {
                let what = format!("expected a table, [{name}], found {}", kind(&other));
                self.notes.problem(name, offset, what);
                DeTable::new()
            }
        };
        Section::visit(name.to_owned(), offset, table, &mut self.notes, read);
    }

    /// Ends the reading: which keys were given, or all that was wrong.
    pub(super) fn finish(mut self) -> Result<Origins, Vec<Problem>> {
        self.notes.leave("", self.root);
        let Notes {
            mut problems,
            origins,
            known,
            unknown,
            ..
        } = self.notes;
        problems.extend(unknown.into_iter().map(|unknown| Problem {
            line: unknown.line,
            key: dotted(&unknown.table, &unknown.name),
            what: unknown.describe(&known),
        }));
        if problems.is_empty() {
            Ok(origins)
        } else {
            Err(problems)
        }
    }
}

impl<'n, 't> Section<'n, 't> {
    fn visit<T>(
        key: String,
        offset: usize,
        table: DeTable<'t>,
        notes: &'n mut Notes<'t>,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        let mut section = Section {
            key,
            offset,
            table,
            notes,
        };
        let outcome = read(&mut section);
        section.notes.leave(&section.key, section.table);
        outcome
    }

    /// Puts the value of `name` into `target`, which keeps what it has if the file does not give
    /// one or `accept` refuses it.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        target: &mut T,
        accept: impl FnOnce(&Value<'t>) -> Result<T, Fault>,
    ) {
        let Some(value) = self.take(name) else {
            return;
        };
        match accept(&value) {
            Ok(accepted) => *target = accepted,
            Err(fault) => self.refuse(name, fault),
        }
    }

    /// As [`Section::read`] for a key that must be given; `missing` says what it would be for.
    pub(super) fn require<T>(
        &mut self,
        name: &'static str,
        missing: &str,
        accept: impl FnOnce(&Value<'t>) -> Result<T, Fault>,
    ) -> Option<T> {
        let Some(value) = self.take(name) else {
            let what = format!("missing: {missing}");
            self.notes
                .problem(&dotted(&self.key, name), self.offset, what);
            return None;
        };
        accept(&value)
            .map_err(|fault| self.refuse(name, fault))
            .ok()
    }

    /// Lets `read` ask each table of the array of tables `name` for its keys.
    pub(super) fn each<T>(
        &mut self,
        name: &'static str,
        mut read: impl FnMut(&mut Section<'_, 't>) -> Option<T>,
    ) -> Vec<T> {
        let key = dotted(&self.key, name);
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let expected = |found: &DeValue<'_>| {
            format!(
                "expected an array of tables, found {} (write [[{key}]])",
                kind(found)
            )
        };
        let offset = value.span().start;
        let elements = match value.into_inner() {
            DeValue::Array(elements) => elements,
            other => {
                self.notes.problem(&key, offset, expected(&other));
                return Vec::new();
            }
        };
        let mut accepted = Vec::new();
        for element in elements {
            let offset = element.span().start;
            match element.into_inner() {
                DeValue::Table(table) => accepted.extend(Section::visit(
                    key.clone(),
                    offset,
                    table,
                    self.notes,
                    &mut read,
                )),
                other => self.notes.problem(&key, offset, expected(&other)),
            }
        }
        accepted
    }

    fn take(&mut self, name: &'static str) -> Option<Value<'t>> {
        let key = dotted(&self.key, name);
        self.notes.known.insert((self.key.clone(), name));
        let value = self.table.remove(name)?;
        let line = self.notes.line(value.span().start);
        self.notes.origins.entry(key).or_insert(line);
        Some(value)
    }

    fn refuse(&mut self, name: &str, fault: Fault) {
        self.notes
            .problem(&dotted(&self.key, name), fault.offset, fault.what);
    }
}

impl<'t> Notes<'t> {
    fn line(&self, offset: usize) -> usize {
        line_of(self.text.as_bytes(), offset)
    }

    fn problem(&mut self, key: &str, offset: usize, what: String) {
        let line = self.line(offset);
        let key = key.to_owned();
        self.problems.push(Problem { line, key, what });
    }

    /// Notes what nobody asked `table` for.
    fn leave(&mut self, table: &str, left: DeTable<'t>) {
        for (name, _) in left {
            self.unknown.push(Unknown {
                table: table.to_owned(),
                line: self.line(name.span().start),
                name: name.into_inner().into_owned(),
            });
        }
    }
}

impl Unknown {
    /// Names the known key that was probably meant, here or in another table; else all there are.
    fn describe(&self, known: &BTreeSet<(String, &'static str)>) -> String {
        let written = |table: &str, name: &str| match table {
            "" => format!("[{name}]"),
            _ => dotted(table, name),
        };
        let here = || known.iter().filter(|(table, _)| *table == self.table);
        let elsewhere = || known.iter().find(|(_, name)| *name == self.name);
        let meant = nearest(&self.name, here().map(|(_, name)| *name))
            .map(|name| written(&self.table, name))
            .or_else(|| elsewhere().map(|(table, name)| written(table, name)));
        if let Some(meant) = meant {
            return format!("unknown key (did you mean {meant}?)");
        }
        let all: Vec<String> = here().map(|(table, name)| written(table, name)).collect();
        format!("unknown key (known here: {})", all.join(", "))
    }
}

/// The candidate that `word` is probably a misspelling of.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).clamp(1, 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, one row at a time.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, from_char) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to_char) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(from_char != *to_char);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// `table.name`, with a name that is not a bare key quoted and escaped.
fn dotted(table: &str, name: &str) -> String {
    let name = if is_bare(name) {
        name.to_owned()
    } else {
        format!("{name:?}")
    };
    if table.is_empty() {
        name
    } else {
        format!("{table}.{name}")
    }
}

/// Whether `name` can be written without quotes.
pub(super) fn is_bare(name: &str) -> bool {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    !name.is_empty() && name.bytes().all(bare)
}

/// The kind of a value, for "found …".
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
