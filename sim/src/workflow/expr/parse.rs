//! Tokens → a tree.
//!
//! Names and functions are checked here, so that a misspelt one is found when the file is read and not when the job
//! runs. The depth is bounded here, so that evaluating needs no bound of its own.

use super::ExprError;
use super::functions::Function;
use super::lex::{Token, tokens};
use crate::workflow::limits::EXPRESSION_DEPTH_MAX;

/// The contexts that GitHub knows. Those that nothing fills here (`secrets`, `vars`, `inputs`) are empty.
const CONTEXTS: [&str; 12] =
    ["github", "env", "matrix", "needs", "steps", "runner", "job", "jobs", "strategy", "secrets", "vars", "inputs"];

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr(pub(super) Tree);

/// One node of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Literal(serde_json::Value),
    Context(String),
    Path {
        base: Box<Tree>,
        parts: Vec<Part>,
    },
    Call {
        function: Function,
        args: Vec<Tree>,
    },
    Not(Box<Tree>),
    /// A chain, so that a long one is not a deep one.
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Compare {
        left: Box<Tree>,
        sign: Sign,
        right: Box<Tree>,
    },
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Property(String),
    Index(Tree),
    Each,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Expr {
    /// Whether a status function is called anywhere in it.
    #[must_use]
    pub fn asks_status(&self) -> bool {
        asks_status(&self.0)
    }
}

fn asks_status(tree: &Tree) -> bool {
    match tree {
        Tree::Literal(_) | Tree::Context(_) => false,
        Tree::Path { base, parts } => {
            asks_status(base) || parts.iter().any(|part| matches!(part, Part::Index(index) if asks_status(index)))
        }
        Tree::Call { function, args } => function.is_status() || args.iter().any(asks_status),
        Tree::Not(inner) => asks_status(inner),
        Tree::And(items) | Tree::Or(items) => items.iter().any(asks_status),
        Tree::Compare { left, right, .. } => asks_status(left) || asks_status(right),
    }
}

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Expr, ExprError> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err(ExprError("the expression is empty".to_owned()));
    }
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let tree = parser.any()?;
    match parser.peek() {
        None => Ok(Expr(tree)),
        Some(token) => Err(ExprError(format!("{} is not expected there", shown(token)))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Number(number) => format!("`{number}`"),
        Token::Text(text) => format!("`'{text}'`"),
        Token::Name(name) => format!("`{name}`"),
        Token::Sign(sign) => format!("`{sign}`"),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self, sign: &'static str) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.next += usize::from(found);
        found
    }

    fn must(&mut self, sign: &'static str) -> Result<(), ExprError> {
        if self.take(sign) {
            return Ok(());
        }
        let found = self.peek().map_or_else(|| "the end".to_owned(), shown);
        Err(ExprError(format!("`{sign}` is expected, not {found}")))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, ExprError>) -> Result<T, ExprError> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            return Err(ExprError(format!("the expression is deeper than {EXPRESSION_DEPTH_MAX} levels; simplify it")));
        }
        let out = inner(self);
        self.depth -= 1;
        out
    }

    fn any(&mut self) -> Result<Tree, ExprError> {
        self.deeper(|parser| parser.chain("||", |inner| inner.chain("&&", Self::equality, Tree::And), Tree::Or))
    }

    fn chain(
        &mut self,
        sign: &'static str,
        item: impl Fn(&mut Self) -> Result<Tree, ExprError>,
        join: fn(Vec<Tree>) -> Tree,
    ) -> Result<Tree, ExprError> {
        let first = item(self)?;
        if self.peek() != Some(&Token::Sign(sign)) {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take(sign) {
            items.push(item(self)?);
        }
        Ok(join(items))
    }

    fn equality(&mut self) -> Result<Tree, ExprError> {
        self.comparison(&[("==", Sign::Equal), ("!=", Sign::NotEqual)], Self::order)
    }

    fn order(&mut self) -> Result<Tree, ExprError> {
        let signs = [("<=", Sign::LessEqual), (">=", Sign::GreaterEqual), ("<", Sign::Less), (">", Sign::Greater)];
        self.comparison(&signs, Self::unary)
    }

    fn comparison(
        &mut self,
        signs: &[(&'static str, Sign)],
        item: impl Fn(&mut Self) -> Result<Tree, ExprError>,
    ) -> Result<Tree, ExprError> {
        let mut left = item(self)?;
        let depth = self.depth;
        // A chain `a == b == c` leans to the left, so each link is a level.
        while let Some(sign) = signs.iter().find(|(text, _)| self.take(text)).map(|(_, sign)| *sign) {
            self.depth += 1;
            let right = self.deeper(&item)?;
            left = Tree::Compare { left: Box::new(left), sign, right: Box::new(right) };
        }
        self.depth = depth;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Tree, ExprError> {
        if self.take("!") {
            return self.deeper(|parser| Ok(Tree::Not(Box::new(parser.unary()?))));
        }
        let base = self.atom()?;
        let mut parts = Vec::new();
        while let Some(part) = self.part()? {
            parts.push(part);
        }
        Ok(if parts.is_empty() { base } else { Tree::Path { base: Box::new(base), parts } })
    }

    fn part(&mut self) -> Result<Option<Part>, ExprError> {
        if self.take("[") {
            let part = if self.take("*") { Part::Each } else { Part::Index(self.any()?) };
            self.must("]")?;
            return Ok(Some(part));
        }
        if !self.take(".") {
            return Ok(None);
        }
        if self.take("*") {
            return Ok(Some(Part::Each));
        }
        let Some(Token::Name(name)) = self.peek().cloned() else {
            return Err(ExprError("a name is missing after `.`".to_owned()));
        };
        self.next += 1;
        Ok(Some(Part::Property(name)))
    }

    fn atom(&mut self) -> Result<Tree, ExprError> {
        if self.take("(") {
            let inner = self.any()?;
            self.must(")")?;
            return Ok(inner);
        }
        let token = self.peek().cloned();
        self.next += 1;
        match token {
            Some(Token::Number(number)) => Ok(Tree::Literal(number_value(number))),
            Some(Token::Text(text)) => Ok(Tree::Literal(text.into())),
            Some(Token::Name(name)) => self.named(&name),
            Some(Token::Sign(sign)) => Err(ExprError(format!("a value is expected, not `{sign}`"))),
            None => Err(ExprError("a value is missing at the end".to_owned())),
        }
    }

    fn named(&mut self, name: &str) -> Result<Tree, ExprError> {
        if self.take("(") {
            let function = Function::named(name)?;
            let args = self.args()?;
            function.check_count(args.len())?;
            return Ok(Tree::Call { function, args });
        }
        match name {
            "true" => return Ok(Tree::Literal(true.into())),
            "false" => return Ok(Tree::Literal(false.into())),
            "null" => return Ok(Tree::Literal(serde_json::Value::Null)),
            _ => {}
        }
        let lower = name.to_ascii_lowercase();
        if CONTEXTS.contains(&lower.as_str()) {
            return Ok(Tree::Context(lower));
        }
        let message =
            format!("`{name}` is unknown; texts stand in single quotes, contexts are {}", CONTEXTS.join(", "));
        Err(ExprError(message))
    }

    fn args(&mut self) -> Result<Vec<Tree>, ExprError> {
        let mut args = Vec::new();
        if self.take(")") {
            return Ok(args);
        }
        loop {
            args.push(self.any()?);
            if !self.take(",") {
                self.must(")")?;
                return Ok(args);
            }
        }
    }
}

/// A whole number stays one, so that it is shown without `.0`.
pub(super) fn number_value(number: f64) -> serde_json::Value {
    /// Above 2^53 a float is no longer exact.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        #[allow(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
        return serde_json::Value::from(number as i64);
    }
    serde_json::Value::from(number)
}
