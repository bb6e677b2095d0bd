// Package ablation compares runs that differ in one thing: the plan that lists them, what
// each measured, the figures and the table that lay them beside each other, and whether
// what the paper says of them holds.
//
//	plan, err := ablation.Read("examples/ablations/demo.toml")
//	cfg, err := plan.Config(plan.Runs[0], plan.Seeds[0], nil)
//	charts := plan.Charts(curves)
//
// It trains nothing: cmd/avjepa does, with the configurations of a plan.
//
// Source: AV-JEPA, appendix L, figures 13 to 19.
package ablation
