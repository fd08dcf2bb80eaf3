//! XEP-0004: data forms, as values: what is asked, what was answered, what was found. Reading is total; whoever reads decides what is needed.
//!
//! Write one: `Form::new(FormType::Form).form_type("urn:x").field(Field::text("first", "Given name")).write(out)`. Read one:
//! `Form::of(&element)?` finds it among the children, then `form.value("first")`, `form.flag("remove")`, `form.values("jids")`.

use super::error::{Condition, StanzaError};
use super::ns;
use crate::xml::{Element, Writer};

/// The namespace of XEP-0004.
pub const NS: &str = "jabber:x:data";

/// What a form is for (XEP-0004 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormType {
    /// To be filled in.
    Form,
    /// Filled in.
    Submit,
    /// Given up.
    Cancel,
    /// Data: of a search, of what an entity is.
    Result,
}

/// The type of a field (XEP-0004 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Yes or no.
    Boolean,
    /// A text that is only shown.
    Fixed,
    /// A value that is not shown.
    Hidden,
    /// Several addresses.
    JidMulti,
    /// One address.
    JidSingle,
    /// Several of the options.
    ListMulti,
    /// One of the options.
    ListSingle,
    /// Several lines.
    TextMulti,
    /// A line that nobody should read over one's shoulder.
    TextPrivate,
    /// One line: what a field is that does not say it.
    TextSingle,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name; empty only for `fixed`.
    pub var: String,
    /// Its type; `None` where it is not said, as in what was submitted.
    pub kind: Option<FieldType>,
    /// What is shown beside it.
    pub label: Option<String>,
    /// Whether it must be filled in.
    pub required: bool,
    /// Its values, in order.
    pub values: Vec<String>,
    /// What may be chosen: label and value.
    pub options: Vec<(Option<String>, String)>,
    /// Whether something else than an option may stand there (XEP-0122 §3.2.2).
    pub open: bool,
    /// The least and the greatest whole number that may stand there (XEP-0122 §3.2.3).
    pub whole: Option<(u32, u32)>,
}

/// A form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it is for.
    pub kind: FormType,
    /// Its title.
    pub title: Option<String>,
    /// What to do with it.
    pub instructions: Option<String>,
    /// Its fields; the one named `FORM_TYPE` says whose names they are (XEP-0068).
    pub fields: Vec<Field>,
    /// Columns of a result with several items (§3.4).
    pub reported: Vec<Field>,
    /// The items, each with its fields.
    pub items: Vec<Vec<Field>>,
}

/// The names of form types, in both directions.
const FORM_TYPES: [(FormType, &str); 4] = [
    (FormType::Form, "form"),
    (FormType::Submit, "submit"),
    (FormType::Cancel, "cancel"),
    (FormType::Result, "result"),
];

/// The names of field types, in both directions.
const FIELD_TYPES: [(FieldType, &str); 10] = [
    (FieldType::Boolean, "boolean"),
    (FieldType::Fixed, "fixed"),
    (FieldType::Hidden, "hidden"),
    (FieldType::JidMulti, "jid-multi"),
    (FieldType::JidSingle, "jid-single"),
    (FieldType::ListMulti, "list-multi"),
    (FieldType::ListSingle, "list-single"),
    (FieldType::TextMulti, "text-multi"),
    (FieldType::TextPrivate, "text-private"),
    (FieldType::TextSingle, "text-single"),
];

impl Form {
    /// An empty form.
    pub fn new(kind: FormType) -> Form {
        Form {
            kind,
            title: None,
            instructions: None,
            fields: Vec::new(),
            reported: Vec::new(),
            items: Vec::new(),
        }
    }

    /// With a title.
    pub fn title(mut self, title: impl Into<String>) -> Form {
        self.title = Some(title.into());
        self
    }

    /// With instructions.
    pub fn instructions(mut self, text: impl Into<String>) -> Form {
        self.instructions = Some(text.into());
        self
    }

    /// With a `FORM_TYPE` (XEP-0068), which goes first.
    pub fn form_type(mut self, name: &str) -> Form {
        let field = Field::new("FORM_TYPE", Some(FieldType::Hidden)).value(name);
        self.fields.insert(0, field);
        self
    }

    /// With one more field.
    pub fn field(mut self, field: Field) -> Form {
        self.fields.push(field);
        self
    }

    /// The form among an element's children, `None` where there is none. `bad-request` where it is not one.
    pub fn of(parent: &Element<'_>) -> Result<Option<Form>, StanzaError> {
        parent
            .child(NS, "x")
            .map(|form| Form::read(&form))
            .transpose()
    }

    /// Reads `<x xmlns='jabber:x:data'/>`. `bad-request` for an unknown type, and for a field without a name that is not only shown (§3.2).
    pub fn read(element: &Element<'_>) -> Result<Form, StanzaError> {
        let kind = element.attr("type").unwrap_or_default();
        let kind = named(&FORM_TYPES, &kind).ok_or(Condition::BadRequest)?;
        let mut form = Form::new(kind);
        for child in element.children().filter(|child| child.is_in(NS)) {
            match child.name() {
                "title" => form.title = Some(child.text().into_owned()),
                "instructions" => form.instructions = Some(child.text().into_owned()),
                "field" => form.fields.push(Field::read(&child)?),
                "reported" => form.reported = fields(&child)?,
                "item" => form.items.push(fields(&child)?),
                _ => {}
            }
        }
        Ok(form)
    }

    /// Writes it.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.start("x")
            .attr("xmlns", NS)
            .attr("type", name_of(&FORM_TYPES, self.kind));
        if let Some(title) = &self.title {
            out.leaf("title", title);
        }
        if let Some(instructions) = &self.instructions {
            out.leaf("instructions", instructions);
        }
        for field in &self.fields {
            field.write(out);
        }
        if !self.reported.is_empty() {
            out.start("reported");
            self.reported.iter().for_each(|field| field.write(out));
            out.end();
        }
        for item in &self.items {
            out.start("item");
            item.iter().for_each(|field| field.write(out));
            out.end();
        }
        out.end();
    }

    /// One field by its name.
    pub fn get(&self, var: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.var == var)
    }

    /// The first value of a field, also an empty one.
    pub fn value(&self, var: &str) -> Option<&str> {
        self.get(var)?.values.first().map(String::as_str)
    }

    /// All values of a field; none where it is not there.
    pub fn values(&self, var: &str) -> &[String] {
        self.get(var).map_or(&[], |field| &field.values)
    }

    /// Whether a field says yes: `true` or `1` (§3.3).
    pub fn flag(&self, var: &str) -> bool {
        matches!(self.value(var).map(str::trim), Some("true" | "1"))
    }

    /// Its `FORM_TYPE` (XEP-0068 §3.1).
    pub fn type_name(&self) -> Option<&str> {
        self.value("FORM_TYPE")
    }

    /// Whether it was filled in, for this `FORM_TYPE` or for none that is named.
    pub fn is_submitted(&self, form_type: &str) -> bool {
        self.kind == FormType::Submit && self.type_name().is_none_or(|name| name == form_type)
    }
}

impl Field {
    /// A field without a label and values; without a type for one that is submitted or found.
    pub fn new(var: impl Into<String>, kind: Option<FieldType>) -> Field {
        Field {
            var: var.into(),
            kind,
            label: None,
            required: false,
            values: Vec::new(),
            options: Vec::new(),
            open: false,
            whole: None,
        }
    }

    /// A line of text to fill in.
    pub fn text(var: &str, label: &str) -> Field {
        Field::new(var, Some(FieldType::TextSingle)).label(label)
    }

    /// With a label.
    pub fn label(mut self, label: impl Into<String>) -> Field {
        self.label = Some(label.into());
        self
    }

    /// With one more value.
    pub fn value(mut self, value: impl Into<String>) -> Field {
        self.values.push(value.into());
        self
    }

    /// With one more option.
    pub fn option(mut self, label: &str, value: &str) -> Field {
        self.options
            .push((Some(label.to_owned()), value.to_owned()));
        self
    }

    /// Something else than an option may stand there.
    pub fn open(mut self) -> Field {
        self.open = true;
        self
    }

    /// A whole number between these.
    pub fn whole(mut self, least: u32, greatest: u32) -> Field {
        self.whole = Some((least, greatest));
        self
    }

    /// To be filled in.
    pub fn required(mut self) -> Field {
        self.required = true;
        self
    }

    fn read(element: &Element<'_>) -> Result<Field, StanzaError> {
        // §3.3: an unknown type is read as text-single.
        let kind = element
            .attr("type")
            .map(|name| named(&FIELD_TYPES, &name).unwrap_or(FieldType::TextSingle));
        let mut field = Field::new(element.attr("var").unwrap_or_default(), kind);
        if field.var.is_empty() && kind != Some(FieldType::Fixed) {
            return Err(Condition::BadRequest.into());
        }
        field.label = element.attr("label").map(|label| label.into_owned());
        let validate = element.child(ns::FORM_VALIDATION, "validate");
        field.open =
            validate.is_some_and(|validate| validate.child(ns::FORM_VALIDATION, "open").is_some());
        for child in element.children().filter(|child| child.is_in(NS)) {
            match child.name() {
                "value" => field.values.push(child.text().into_owned()),
                "required" => field.required = true,
                "option" => {
                    let value = child.child(NS, "value").ok_or(Condition::BadRequest)?;
                    let label = child.attr("label").map(|label| label.into_owned());
                    field.options.push((label, value.text().into_owned()));
                }
                _ => {}
            }
        }
        Ok(field)
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.start("field")
            .attr_opt("label", self.label.as_deref())
            .attr_opt("type", self.kind.map(|kind| name_of(&FIELD_TYPES, kind)))
            .attr_opt("var", Some(&*self.var).filter(|var| !var.is_empty()));
        if self.required {
            out.leaf("required", "");
        }
        for value in &self.values {
            out.leaf("value", value);
        }
        if self.open {
            out.start("validate")
                .attr("xmlns", ns::FORM_VALIDATION)
                .attr("datatype", "xs:string")
                .leaf("open", "")
                .end();
        }
        if let Some((least, greatest)) = self.whole {
            out.start("validate")
                .attr("xmlns", ns::FORM_VALIDATION)
                .attr("datatype", "xs:integer");
            out.start("range")
                .attr("min", &least.to_string())
                .attr("max", &greatest.to_string())
                .end();
            out.end();
        }
        for (label, value) in &self.options {
            out.start("option")
                .attr_opt("label", label.as_deref())
                .leaf("value", value)
                .end();
        }
        out.end();
    }
}

fn fields(parent: &Element<'_>) -> Result<Vec<Field>, StanzaError> {
    parent
        .children()
        .filter(|child| child.is(NS, "field"))
        .map(|field| Field::read(&field))
        .collect()
}

fn named<T: Copy>(table: &[(T, &str)], name: &str) -> Option<T> {
    let row = table.iter().find(|(_, known)| *known == name)?;
    Some(row.0)
}

fn name_of<T: Copy + PartialEq>(table: &[(T, &'static str)], value: T) -> &'static str {
    let row = table.iter().find(|(known, _)| *known == value);
    row.expect("the table has every value of its type").1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Document, written};

    fn read(text: &str) -> Result<Form, StanzaError> {
        Form::read(&Document::parse(text.to_owned()).expect("XML").root())
    }

    #[test]
    fn what_is_written_is_read() {
        let mut form = Form::new(FormType::Form)
            .title("Search <people>")
            .instructions("Fill in")
            .field(Field::text("first", "Given name").required().value("A & B"))
            .field(
                Field::new("kind", Some(FieldType::ListMulti))
                    .option("One", "1")
                    .option("Two", "2")
                    .open()
                    .value("1")
                    .value("2"),
            )
            .form_type("jabber:iq:search");
        form.reported = vec![Field::text("jid", "Address")];
        form.items = vec![vec![Field::new("jid", None).value("a@b")], vec![]];
        assert_eq!(read(&written(|out| form.write(out))), Ok(form));
    }

    #[test]
    fn values_are_found_by_name() {
        let form = read(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:a</value></field>\
             <field var='yes'><value>1</value></field><field var='no'><value>false</value></field>\
             <field var='many'><value>a</value><value/></field><field var='none'/><other xmlns='urn:b'/></x>",
        )
        .expect("a form");
        assert!(form.is_submitted("urn:a") && !form.is_submitted("urn:b"));
        assert!(form.flag("yes") && !form.flag("no") && !form.flag("none"));
        assert_eq!(form.values("many"), ["a", ""]);
        assert_eq!((form.value("none"), form.value("missing")), (None, None));
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for text in [
            "<x xmlns='jabber:x:data'/>",
            "<x xmlns='jabber:x:data' type='other'/>",
            "<x xmlns='jabber:x:data' type='submit'><field><value>a</value></field></x>",
            "<x xmlns='jabber:x:data' type='form'><field var='a'><option label='b'/></field></x>",
        ] {
            assert_eq!(read(text), Err(Condition::BadRequest.into()), "{text}");
        }
        let fixed =
            "<x xmlns='jabber:x:data' type='form'><field type='fixed'><value>a</value></field></x>";
        assert!(read(fixed).is_ok());
    }
}
