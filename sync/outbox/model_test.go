package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
)

// modelled is what a record's owner would expect of it.
type modelled struct {
	pos       outbox.Position
	body      string
	state     string // queued, postponed, quarantined, delivered
	postponed int
}

// TestBoxBehavesLikeItsModel runs random sequences of calls, restarts among
// them, against a map.
func TestBoxBehavesLikeItsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		b := openBox(t, dir)
		defer func() { _ = b.Close() }()
		ctx := context.Background()
		model := map[string]*modelled{} // by rid
		pick := func(states ...string) (string, *modelled) {
			var rids []string
			for _, rid := range slices.Sorted(maps.Keys(model)) {
				if slices.Contains(states, model[rid].state) {
					rids = append(rids, rid)
				}
			}
			if len(rids) == 0 {
				rt.Skip("no such record")
			}
			rid := rapid.SampledFrom(rids).Draw(rt, "rid")
			return rid, model[rid]
		}
		all := []string{"queued", "postponed", "quarantined", "delivered"}
		settle := func(a record.Acknowledgement) outbox.Settled {
			s, err := b.Settle(ctx, []record.Acknowledgement{a})
			if err != nil {
				rt.Fatalf("Settle: %v", err)
			}
			return s
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				rid, body := newRID(t), fmt.Sprintf(`{"n":%d}`, len(model))
				pos, err := b.Put(ctx, rid, record.Verification, []byte(body))
				if err != nil || pos.Seq != uint64(len(model))+1 || pos.Epoch != 1 {
					rt.Fatalf("Put = %+v, %v, want seq %d", pos, err, len(model)+1)
				}
				model[rid] = &modelled{pos: pos, body: body, state: "queued"}
			},
			"put again": func(rt *rapid.T) {
				rid, m := pick(all...)
				if pos, err := b.Put(ctx, rid, record.Verification, []byte(m.body)); err != nil || pos != m.pos {
					rt.Fatalf("Put again = %+v, %v, want %+v", pos, err, m.pos)
				}
				if _, err := b.Put(ctx, rid, record.Verification, []byte(`{"other":1}`)); !errors.Is(err, outbox.ErrConflict) {
					rt.Fatalf("Put of another body = %v, want ErrConflict", err)
				}
			},
			"deliver": func(rt *rapid.T) {
				_, m := pick("queued", "postponed", "quarantined")
				if s := settle(ack(m.pos, record.Stored)); len(s.Removed) != 1 {
					rt.Fatalf("Settle = %+v, want it removed", s)
				}
				m.state = "delivered"
			},
			"deliver again": func(rt *rapid.T) {
				_, m := pick("delivered")
				if s := settle(ack(m.pos, record.Duplicate)); s.Repeated != 1 || len(s.Alarms) != 0 {
					rt.Fatalf("Settle = %+v, want it repeated", s)
				}
			},
			"forge": func(rt *rapid.T) {
				_, m := pick(all...)
				a := ack(m.pos, rapid.SampledFrom([]record.AckStatus{record.Stored, record.Rejected, ""}).Draw(rt, "status"))
				a.Digest[rapid.IntRange(0, 31).Draw(rt, "byte")] ^= 1
				if s := settle(a); len(s.Alarms) != 1 || len(s.Removed)+len(s.Quarantined) != 0 {
					rt.Fatalf("Settle of a forgery = %+v, want one alarm", s)
				}
			},
			"reject": func(rt *rapid.T) {
				_, m := pick("queued", "postponed")
				a := ack(m.pos, record.Rejected)
				a.Code = record.CodeMalformed
				if s := settle(a); len(s.Quarantined) != 1 {
					rt.Fatalf("Settle = %+v, want it quarantined", s)
				}
				m.state = "quarantined"
			},
			"retry": func(rt *rapid.T) {
				_, m := pick("quarantined")
				if err := b.Retry(ctx, m.pos.Seq); err != nil {
					rt.Fatalf("Retry: %v", err)
				}
				m.state, m.postponed = "queued", 0
			},
			"postpone": func(rt *rapid.T) {
				_, m := pick("queued", "postponed")
				if err := b.Postpone(ctx, []uint64{m.pos.Seq}, time.Now().Add(time.Hour)); err != nil {
					rt.Fatalf("Postpone: %v", err)
				}
				m.state = "postponed"
				if m.postponed++; m.postponed == 8 {
					m.state = "quarantined"
				}
			},
			"reopen": func(rt *rapid.T) {
				closeBox(t, b)
				b = openBox(t, dir)
			},
			"": func(rt *rapid.T) {
				var want []uint64
				for _, m := range model {
					if m.state == "queued" {
						want = append(want, m.pos.Seq)
					}
				}
				slices.Sort(want)
				var got []uint64
				for _, it := range allDue(t, b) {
					got = append(got, it.Seq)
					if m := model[it.RID]; m == nil || m.pos != it.Position {
						rt.Fatalf("Due gave %+v, which was not put", it.Position)
					}
				}
				if !slices.Equal(got, want) {
					rt.Fatalf("due %v, want %v", got, want)
				}
				if err := b.Check(ctx); err != nil {
					rt.Fatal(err)
				}
			},
		})
	})
}
