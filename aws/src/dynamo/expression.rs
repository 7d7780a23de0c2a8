//! The totals' changes and conditions in DynamoDB's language. Names and values are numbered, because fields have names
//! that the language does not allow.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{number, text};
use crate::rows::{Condition, TotalsChange};

/// Expressions with what their numbers stand for.
#[derive(Debug, Default)]
pub(super) struct Expression {
    /// What is changed; `None`: nothing.
    pub(super) update: Option<String>,
    /// What must hold; `None`: nothing.
    pub(super) condition: Option<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    pub(super) fn of(change: &TotalsChange) -> Self {
        let mut expression = Self::default();
        let (mut add, mut set, mut remove) = (Vec::new(), Vec::new(), Vec::new());
        for (field, by) in &change.add {
            add.push(format!("{} {}", expression.name(field), expression.value(number(by))));
        }
        for (field, value) in &change.set {
            let name = expression.name(field);
            match value {
                Some(value) => set.push(format!("{name} = {}", expression.value(text(value)))),
                None => remove.push(name),
            }
        }
        let clauses = [("ADD", add), ("SET", set), ("REMOVE", remove)];
        let clauses = clauses.iter().filter(|(_, parts)| !parts.is_empty());
        let update: Vec<String> = clauses.map(|(verb, parts)| format!("{verb} {}", parts.join(", "))).collect();
        expression.update = (!update.is_empty()).then(|| update.join(" "));
        let conditions: Vec<String> = change.conditions.iter().map(|it| expression.condition(it)).collect();
        expression.condition = (!conditions.is_empty()).then(|| conditions.join(" AND "));
        expression
    }

    fn name(&mut self, field: &str) -> String {
        let known = self.names.iter().find(|(_, name)| *name == field).map(|(number, _)| number.clone());
        known.unwrap_or_else(|| {
            let number = format!("#n{}", self.names.len());
            self.names.insert(number.clone(), field.to_owned());
            number
        })
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let number = format!(":v{}", self.values.len());
        self.values.insert(number.clone(), value);
        number
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::AtMost(field, n) => {
                let (name, value) = (self.name(field), self.value(number(n)));
                format!("(attribute_not_exists({name}) OR {name} <= {value})")
            }
            Condition::AtLeast(field, n) => format!("{} >= {}", self.name(field), self.value(number(n))),
            Condition::None(fields) => self.each("attribute_not_exists", fields, " AND "),
            Condition::Any(fields) => self.each("attribute_exists", fields, " OR "),
        }
    }

    fn each(&mut self, function: &str, fields: &[String], between: &str) -> String {
        let all: Vec<String> = fields.iter().map(|field| format!("{function}({})", self.name(field))).collect();
        format!("({})", all.join(between))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_one_number_and_clauses_their_order() {
        let mut change = TotalsChange::default();
        change.add.insert("live".into(), 2);
        change.set.insert("drain#fleet".into(), None);
        change.set.insert("inventoried".into(), Some("1".into()));
        change.conditions =
            vec![Condition::AtMost("live".into(), 3), Condition::None(vec!["drain#fleet".into(), "drain#a".into()])];
        let expression = Expression::of(&change);
        assert_eq!(expression.update.as_deref(), Some("ADD #n0 :v0 SET #n2 = :v1 REMOVE #n1"));
        let condition = "(attribute_not_exists(#n0) OR #n0 <= :v2) AND \
                         (attribute_not_exists(#n1) AND attribute_not_exists(#n3))";
        assert_eq!(expression.condition.as_deref(), Some(condition));
    }
}
