// Package measure is the work behind `edgeverify eval` and `edgeverify bench`:
// it runs labelled pictures through the examination that ships, counts errors by
// the terms of ISO/IEC 19795-1 (comparisons) and 30107-3 (presentation attacks),
// and times the stages. The JSON of its reports is a contract; fields are added,
// never renamed.
//
// It decides nothing itself: package examine measures and package verify judges.
// It knows no command line, no vault and no queue.
package measure

import "time"

// milliseconds as the reports write them.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
