//! Rules that the chart of prometheus-adapter adds by itself, in the form of its configuration.

/// How many.
pub(super) const COUNT: usize = 6;

/// In their order there.
pub(super) const RULES: &str = r#"
rules:
- &container
  seriesQuery: '{__name__=~"^container_.*",container!="POD",namespace!="",pod!=""}'
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  name: {matches: ^container_(.*)_seconds_total$}
  metricsQuery: sum(rate(<<.Series>>{<<.LabelMatchers>>,container!="POD"}[5m])) by (<<.GroupBy>>)
- <<: *container
  seriesFilters: [{isNot: ^container_.*_seconds_total$}]
  name: {matches: ^container_(.*)_total$}
- <<: *container
  seriesFilters: [{isNot: ^container_.*_total$}]
  name: {matches: ^container_(.*)$}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>,container!="POD"}) by (<<.GroupBy>>)
- &other
  seriesQuery: '{namespace!="",__name__!~"^container_.*"}'
  seriesFilters: [{isNot: .*_total$}]
  resources: {template: <<.Resource>>}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)
- <<: *other
  seriesFilters: [{isNot: .*_seconds_total}]
  name: {matches: ^(.*)_total$}
  metricsQuery: sum(rate(<<.Series>>{<<.LabelMatchers>>}[5m])) by (<<.GroupBy>>)
- <<: *other
  seriesFilters: []
  name: {matches: ^(.*)_seconds_total$}
  metricsQuery: sum(rate(<<.Series>>{<<.LabelMatchers>>}[5m])) by (<<.GroupBy>>)
"#;
