package uplink_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/edgeverify/edgeverify/sync/outbox"
	"github.com/edgeverify/edgeverify/sync/record"
	"github.com/edgeverify/edgeverify/sync/uplink"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs a test on a site under fake time.
func inBubble(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		defer s.close()
		test(t, s)
	})
}

var errCut = &uplink.SendError{Kind: uplink.ErrUnreachable, Err: errors.New("cable cut")}

func TestAnOutageOf72HoursLosesAndBlamesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.put(40)
		s.setBefore(func(context.Context) error { return errCut })
		u, stop := s.run(uplink.Options{Spread: uplink.DefaultSpread})
		defer stop()
		time.Sleep(72 * time.Hour)
		synctest.Wait()
		s.want(40, 0, 0)
		if n := s.attempts(1); n != 0 {
			t.Errorf("attempts of record 1 after an outage = %d, want 0", n)
		}
		// Full jitter below 15 minutes is 7.5 on average: 576 tries, at most.
		if n := len(s.tried()); n < 288 || n > 900 {
			t.Errorf("%d requests in 72 hours, want 288 to 900", n)
		}
		state := u.State()
		if state.Failures != len(s.tried()) || !errors.Is(state.Err, uplink.ErrUnreachable) || time.Until(state.NextTry) > uplink.MaxDelay {
			t.Errorf("State = %+v, want %d failures and a try within 15 minutes", state, len(s.tried()))
		}
		s.setBefore(nil)
		time.Sleep(uplink.MaxDelay)
		synctest.Wait()
		s.want(0, 0, 40)
		if state := u.State(); state.Err != nil || state.Failures != 0 || state.Settled != 40 || state.LastReceipt.IsZero() {
			t.Errorf("State = %+v, want 40 settled and no failures", state)
		}
	})
}

func TestTheFirstConnectionsOfAFleetAreSpread(t *testing.T) {
	var firsts []time.Duration
	for range 12 {
		inBubble(t, func(_ *testing.T, s *site) {
			s.put(1)
			begin := time.Now()
			_, stop := s.run(uplink.Options{Spread: uplink.DefaultSpread})
			time.Sleep(uplink.DefaultSpread)
			stop()
			firsts = append(firsts, s.tried()[0].at.Sub(begin))
		})
	}
	early := 0
	for _, d := range firsts {
		if d < uplink.DefaultSpread/2 {
			early++
		}
	}
	if early == 0 || early == len(firsts) {
		t.Errorf("%d of %d first connections in the first half of the spread, want some in both: %v", early, len(firsts), firsts)
	}
}

func TestALostCollectorIsAskedAgainAfterTheSpread(t *testing.T) {
	var waits []time.Duration
	for range 12 {
		inBubble(t, func(_ *testing.T, s *site) {
			_, stop := s.run(uplink.Options{Spread: time.Hour})
			time.Sleep(time.Hour)
			s.put(1)
			synctest.Wait()
			s.setBefore(func(context.Context) error { return errCut })
			s.put(1)
			synctest.Wait()
			time.Sleep(time.Hour)
			stop()
			waits = append(waits, s.tried()[2].at.Sub(s.tried()[1].at))
		})
	}
	long := 0
	for _, d := range waits {
		if d > 5*time.Second {
			long++
		}
	}
	if long < len(waits)/2 {
		t.Errorf("waits after the loss of the collector = %v, want most of them spread over minutes", waits)
	}
}

func TestANewRecordIsSentAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		_, stop := s.run(uplink.Options{})
		defer stop()
		time.Sleep(10*time.Second + time.Millisecond)
		s.put(1)
		put := time.Now()
		synctest.Wait()
		s.want(0, 0, 1)
		if took := time.Since(put); took != 0 {
			t.Errorf("sent %v after the put, want at once", took)
		}
	})
}

func TestAWishOfTheCollectorIsHonouredWithinReason(t *testing.T) {
	for _, c := range []struct{ wish, least, most time.Duration }{
		{10 * time.Minute, 10 * time.Minute, 12 * time.Minute},
		{99999 * time.Hour, uplink.MaxDelay, uplink.MaxDelay},
		{-5 * time.Second, 0, 2 * time.Second},
	} {
		inBubble(t, func(t *testing.T, s *site) {
			s.put(1)
			s.before = func(context.Context) error {
				return &uplink.SendError{Kind: uplink.ErrUnreachable, RetryAfter: c.wish, Err: errors.New("busy")}
			}
			u, stop := s.run(uplink.Options{})
			defer stop()
			synctest.Wait()
			if d := time.Until(u.State().NextTry); d < c.least || d > c.most {
				t.Errorf("next try after a wish of %v: in %v, want %v to %v", c.wish, d, c.least, c.most)
			}
		})
	}
}

func TestOnePoisonedRecordIsIsolatedAndBlocksNobody(t *testing.T) {
	for name, seq := range map[string]uint64{"at the head": 1, "in the middle": 40, "at the end": 64} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *site) {
				s.put(64)
				s.garbled[seq] = true
				_, stop := s.run(uplink.Options{})
				defer stop()
				synctest.Wait()
				s.want(1, 0, 63)
				if n := s.attempts(seq); n != 1 {
					t.Errorf("attempts of the poisoned record = %d, want 1", n)
				}
				halvings := 0
				for size := 64; size > 1; size /= 2 {
					halvings++
				}
				if n := len(s.tried()); n > 1+2*halvings {
					t.Errorf("%d requests (%v), want at most %d", n, s.tried(), 1+2*halvings)
				}
				if name == "at the head" && s.tried()[halvings].size != 1 {
					t.Errorf("requests %v, want the record alone after %d halvings", s.tried(), halvings)
				}
			})
		})
	}
}

func TestAPoisonedRecordIsSetAsideWhileOthersFlow(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.put(1)
		s.garbled[1] = true
		_, stop := s.run(uplink.Options{})
		defer stop()
		for range 30 {
			time.Sleep(20 * time.Minute)
			s.put(1)
			synctest.Wait()
		}
		s.want(0, 1, 30)
	})
}

func TestALonePoisonedRecordDoesNotDelayTheNext(t *testing.T) {
	inBubble(t, func(_ *testing.T, s *site) {
		s.put(1)
		s.garbled[1] = true
		_, stop := s.run(uplink.Options{})
		defer stop()
		time.Sleep(time.Hour)
		s.put(1)
		synctest.Wait()
		s.want(1, 0, 1)
	})
}

func TestAProxyThatRefusesEverythingCostsNoRecord(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.put(100)
		s.before = func(context.Context) error {
			return &uplink.SendError{Kind: uplink.ErrRefused, Err: errors.New("HTTP status 400")}
		}
		_, stop := s.run(uplink.Options{})
		defer stop()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		s.want(100, 0, 0)
		if n := len(s.tried()); n > 24*60*3 {
			t.Errorf("%d requests in 24 hours, want fewer than three a minute", n)
		}
		t.Logf("%d requests in 24 hours", len(s.tried()))
		s.setBefore(nil)
		time.Sleep(2 * uplink.MaxDelay)
		synctest.Wait()
		s.want(0, 0, 100)
	})
}

func TestAReceiptForOtherRecordsRemovesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.put(1)
		var old []record.Acknowledgement
		s.after = func(acks []record.Acknowledgement) []record.Acknowledgement {
			if old == nil {
				old = acks
			}
			return old
		}
		u, stop := s.run(uplink.Options{})
		defer stop()
		synctest.Wait()
		s.want(0, 0, 1)
		s.put(1)
		time.Sleep(time.Hour)
		synctest.Wait()
		s.want(1, 0, 2)
		if err := u.State().Err; !errors.Is(err, uplink.ErrNoReceipt) {
			t.Errorf("State.Err = %v, want ErrNoReceipt", err)
		}
		if n := len(s.tried()); n > 40 {
			t.Errorf("%d requests in an hour, want a back-off", n)
		}
	})
}

func TestAWrongDigestRemovesNothing(t *testing.T) {
	inBubble(t, func(_ *testing.T, s *site) {
		s.put(2)
		s.after = func(acks []record.Acknowledgement) []record.Acknowledgement {
			for i := range acks {
				acks[i].Digest[0] ^= 1
			}
			return acks
		}
		_, stop := s.run(uplink.Options{})
		defer stop()
		synctest.Wait()
		s.want(2, 0, 2)
	})
}

func TestSilentSuccessRemovesNothing(t *testing.T) {
	inBubble(t, func(_ *testing.T, s *site) {
		s.put(2)
		s.after = func([]record.Acknowledgement) []record.Acknowledgement { return nil }
		_, stop := s.run(uplink.Options{})
		defer stop()
		time.Sleep(time.Hour)
		synctest.Wait()
		s.want(2, 0, 2)
	})
}

func TestAnUnregisteredKeyBlamesNoRecord(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.put(40)
		s.after = func(acks []record.Acknowledgement) []record.Acknowledgement {
			for i := range acks {
				acks[i].Status, acks[i].Code = record.Rejected, record.CodeUnknownKey
			}
			return acks
		}
		_, stop := s.run(uplink.Options{})
		defer stop()
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if n := s.attempts(1); n != 0 {
			t.Errorf("attempts of record 1 = %d, want 0", n)
		}
		if n := len(s.tried()); n > 100 {
			t.Errorf("%d requests in 4 hours, want a back-off", n)
		}
		s.setAfter(nil)
		time.Sleep(2 * uplink.MaxDelay)
		synctest.Wait()
		s.want(0, 0, 40)
	})
}

func TestReceiptsThatStoreNothingDoNotEndTheBackOff(t *testing.T) {
	inBubble(t, func(t *testing.T, s *site) {
		s.put(record.MaxBatchRecords + 2)
		s.after = func(acks []record.Acknowledgement) []record.Acknowledgement {
			for i := range acks {
				acks[i].Status, acks[i].Code = record.Rejected, record.CodeUnknownKey
			}
			return acks
		}
		u, stop := s.run(uplink.Options{})
		defer stop()
		// Two batches fail every fifteen minutes.
		for range 20 {
			time.Sleep(uplink.MaxDelay)
			synctest.Wait()
		}
		state := u.State()
		if n := len(s.tried()); state.Failures != n || n < 10 || !errors.Is(state.Err, uplink.ErrRefused) {
			t.Errorf("State after %d requests answered with unknown_key = %+v, want as many failures and ErrRefused", n, state)
		}
		if state.LastReceipt.IsZero() {
			t.Error("State.LastReceipt is zero, want the time of the last receipt")
		}
		s.setAfter(nil)
		time.Sleep(2 * uplink.MaxDelay)
		synctest.Wait()
		if state := u.State(); state.Failures != 0 || state.Err != nil {
			t.Errorf("State after records were stored = %+v, want no failures", state)
		}
	})
}

func TestRunStopsInTheMiddleOfARequest(t *testing.T) {
	inBubble(t, func(_ *testing.T, s *site) {
		s.put(1)
		s.before = func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		_, stop := s.run(uplink.Options{})
		synctest.Wait()
		stop()
		s.want(1, 0, 0)
	})
}

func TestAnErrorThatATransportDoesNotClassBlamesTheLink(t *testing.T) {
	for _, err := range []error{errors.New("anything"), &uplink.SendError{Err: errors.New("zero kind")}} {
		inBubble(t, func(t *testing.T, s *site) {
			s.put(1)
			s.setBefore(func(context.Context) error { return err })
			_, stop := s.run(uplink.Options{})
			defer stop()
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			s.want(1, 0, 0)
			if n := s.attempts(1); n != 0 {
				t.Errorf("attempts after %v = %d, want 0", err, n)
			}
		})
	}
}

var _ uplink.Queue = (*outbox.Box)(nil)
