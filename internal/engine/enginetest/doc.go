// Package enginetest holds an engine to the reference engine.
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, func(t *testing.T) engine.Engine {
//			e, err := cpu.New(cpu.Config{Threads: 2})
//			if err != nil {
//				t.Fatal(err)
//			}
//			return e
//		})
//	}
//
// A case says which operands an operation has and calls it. The suite then runs
// it several times:
//
//   - on the reference, and again with its inputs moved by one rounding error:
//     what that does to an output is the measure of how far an engine may be off;
//   - on the engine with NaN wherever nothing may be read (around operands,
//     between strided rows, in outputs that are set), and again with finite
//     numbers there: both must give the same bits, and leave all of it unchanged;
//   - on both with a NaN, then an infinity, in one input after another: it must
//     reach the same elements and no others.
//
// With Options.BF16 it does all this again for the cases whose operands may be BF16,
// in several mixes of types. The reference then has the same rounded inputs and
// rounds nothing more: an output may be off by the one rounding with which it is
// stored, and by some times the movement from rounding what package engine's rules
// let an engine round on the way.
//
// The suite touches memory by the methods of engine.Engine alone.
package enginetest
