//! Our tree in the oracle's form (`tests/oracles/promqltree/main.go`).

use promql::ast::{
    At, Clause, DurationExpr, Extended, Label, Matching, Offset, Side, Time, VectorSelector, When,
};
use promql::operator::{BinaryOp, UnaryOp};
use promql::{Dialect, Expr, ValueType};
use serde_json::{Value, json};

pub(crate) fn tree(expr: &Expr, dialect: Dialect) -> Value {
    let below = |expr: &Expr| tree(expr, dialect);
    match expr {
        Expr::Number(number) => json!(["number", float(number.value)]),
        Expr::String(string) => json!(["string", string.value]),
        Expr::Paren(paren) => json!(["paren", below(&paren.inner)]),
        Expr::Unary(unary) => json!(["unary", unary.operator.as_str(), below(&unary.operand)]),
        Expr::Binary(binary) => {
            let rows = |side: &Expr| side.value_type() == ValueType::Vector;
            let matching = (rows(&binary.left) && rows(&binary.right))
                .then(|| matching(&binary.matching, binary.operator));
            let operator = binary.operator.as_str();
            json!([
                "binary",
                operator,
                binary.returns_bool,
                matching,
                below(&binary.left),
                below(&binary.right)
            ])
        }
        Expr::Call(call) => {
            let name = json!(call.function.name);
            let arguments = call.arguments.iter().map(below);
            Value::Array([json!("call"), name].into_iter().chain(arguments).collect())
        }
        Expr::Aggregate(aggregate) => {
            let grouping = aggregate.grouping.as_ref();
            let without = grouping.is_some_and(|grouping| grouping.clause == Clause::Without);
            let labels = grouping.map_or(json!([]), |grouping| names(&grouping.labels));
            let parameter = aggregate.parameter.as_deref().map(below);
            let operator = aggregate.operator.as_str();
            json!([
                "aggregate",
                operator,
                without,
                labels,
                parameter,
                below(&aggregate.argument)
            ])
        }
        Expr::Vector(selector) => vector(selector, dialect),
        Expr::Matrix(matrix) => {
            json!([
                "matrix",
                vector(&matrix.selector, dialect),
                duration(&matrix.range, dialect)
            ])
        }
        Expr::Subquery(subquery) => {
            let step = subquery.step.as_ref().map(|step| duration(step, dialect));
            let (at, offset) = time(&subquery.time, dialect);
            json!([
                "subquery",
                below(&subquery.inner),
                duration(&subquery.range, dialect),
                step,
                at,
                offset
            ])
        }
    }
}

fn vector(selector: &VectorSelector, dialect: Dialect) -> Value {
    let name = selector.name.as_ref().map_or("", |name| &name.text);
    let mut matchers: Vec<Value> = selector
        .conditions()
        .map(|matcher| json!([matcher.label, matcher.op.as_str(), matcher.value]))
        .collect();
    // Theirs of the name before the braces comes last.
    if selector.name.is_some() {
        matchers.rotate_left(1);
    }
    let (at, offset) = time(&selector.time, dialect);
    let extended = selector.time.extended.map(Extended::as_str);
    json!(["vector", name, matchers, at, offset, extended])
}

fn matching(matching: &Matching, operator: BinaryOp) -> Value {
    let card = match &matching.group {
        _ if operator.is_set() => "many-to-many",
        None => "one-to-one",
        Some(group) if group.many == Side::Left => "many-to-one",
        Some(_) => "one-to-many",
    };
    let labels = matching.labels.as_ref();
    let on = labels.is_some_and(|labels| labels.on);
    let include = matching
        .group
        .as_ref()
        .map_or(json!([]), |group| names(&group.labels));
    let [left, right] =
        [matching.fill.left, matching.fill.right].map(|fill| fill.map(|fill| float(fill.value)));
    json!([
        card,
        on,
        labels.map_or(json!([]), |labels| names(&labels.labels)),
        include,
        left,
        right
    ])
}

fn names(labels: &[Label]) -> Value {
    labels.iter().map(|label| json!(label.name)).collect()
}

fn time(time: &Time, dialect: Dialect) -> (Value, Value) {
    let at = match time.at {
        None => Value::Null,
        Some(At {
            when: When::Start, ..
        }) => json!("start"),
        Some(At { when: When::End, .. }) => json!("end"),
        Some(At {
            when: When::Milliseconds(at),
            ..
        }) => json!(at),
    };
    let offset = time.offset.as_ref();
    (
        at,
        offset.map_or(Value::Null, |Offset { by, .. }| duration(by, dialect)),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the parser refuses durations that 64 bits of nanoseconds do not hold"
)]
fn duration(expr: &DurationExpr, dialect: Dialect) -> Value {
    match expr
        .literal(dialect)
        .map(|seconds| (seconds * 1e9).round() as i64)
    {
        Some(0) => Value::Null,
        Some(nanoseconds) => json!(nanoseconds),
        None => duration_tree(expr, dialect),
    }
}

fn duration_tree(expr: &DurationExpr, dialect: Dialect) -> Value {
    if let Some(seconds) = expr.literal(dialect) {
        return json!(float(seconds));
    }
    let below = |expr: &DurationExpr| duration_tree(expr, dialect);
    match expr {
        DurationExpr::Literal(number) => json!(float(number.value)),
        DurationExpr::Window(window, _) => json!([window.as_str()]),
        DurationExpr::Extreme(extreme, sides, _) => {
            json!([extreme.as_str(), below(&sides[0]), below(&sides[1])])
        }
        DurationExpr::Unary(UnaryOp::Plus, inner, _) => below(inner),
        DurationExpr::Unary(UnaryOp::Minus, inner, _) => json!(["-", below(inner)]),
        DurationExpr::Binary(operator, sides, _) => {
            json!([operator.as_str(), below(&sides[0]), below(&sides[1])])
        }
        DurationExpr::Paren(inner, _) => match below(inner) {
            Value::Array(inner) if inner[0] == "paren" => Value::Array(inner),
            inner => json!(["paren", inner]),
        },
    }
}

fn float(value: f64) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else {
        format!("{:016x}", value.to_bits())
    }
}
