// Package view defines the JSON that the commands of askback print with --json. It is a contract with other programs,
// apart from the messages of package cluster, which may change with every version.
//
//   - Names are in snake_case.
//   - Times are RFC 3339 and end in "_at". Durations are numbers of seconds and end in "_seconds". Sizes end in "_bytes".
//   - A task is "count.3", a message id "split.0>count.1#42", a set of them "split.0>count.1#40-42,44". The id of a plan is 16
//     hexadecimal digits.
//   - A field that has no value is left out, except counts, which may be 0, and lists, which may be empty.
//
// Fields may be added. None is renamed, removed or changed in its meaning without a new major version.
package view
