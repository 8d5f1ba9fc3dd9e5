package forwarder

import (
	"maps"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	// credentialCheck is how often a credential that deliveries wait for is looked up.
	credentialCheck = time.Second

	// heldRenewal is after how long deliveries that still wait are released to the
	// queue. Those whose events were not purged are claimed again.
	heldRenewal = time.Minute

	// maxHeld is how many deliveries of an upstream wait for a credential in
	// memory. Further ones are settled as pending, due after postponed.
	maxHeld   = 10_000
	postponed = 10 * time.Minute
)

// A credential identifies the secret header that proves a provider's requests, by the
// handler with that source.
type credential struct{ provider, source, header string }

// proof returns the headers that prove an event to come from its provider, for the
// format raw. If one of them is a secret that is not available now, ok is false and
// missing identifies it.
func (s *settings) proof(e *event.Event) (fields []event.Field, missing credential, ok bool) {
	if s.Format != Raw {
		return nil, credential{}, true
	}
	fields = slices.Clone(e.Proof) // the event is shared
	for i := range fields {
		if fields[i].Value != "" {
			continue
		}
		missing = credential{e.Provider, e.Source, fields[i].Name}
		if fields[i].Value, ok = s.value(missing); !ok {
			return nil, missing, false
		}
	}
	return fields, credential{}, true
}

func (s *settings) value(c credential) (string, bool) {
	if s.Credential == nil {
		return "", false
	}
	value, ok := s.Credential(c.provider, c.source, c.header)
	return value, ok && value != ""
}

// held has an upstream's deliveries that wait for a credential. They stay claimed, so
// that others can be claimed, and use no slot. No attempt is made or recorded.
type held struct {
	deliveries map[credential][]queue.Delivery
	count      int
	check      time.Time // when to look for the credentials
	renewal    time.Time // when to release all of them
}

// hold frees the slot of an attempt whose credential is missing, and keeps its
// delivery until the credential is there.
func (r *runner) hold(a *attempt, missing credential, now time.Time) {
	r.mu.Lock()
	keep := !r.retired && r.held.count < maxHeld
	if keep {
		if r.held.count == 0 {
			r.held.deliveries = make(map[credential][]queue.Delivery)
			r.held.check, r.held.renewal = now.Add(credentialCheck), now.Add(heldRenewal)
		}
		r.held.deliveries[missing] = append(r.held.deliveries[missing], a.delivery)
		r.held.count++
	}
	retired := r.retired
	r.limiter.AllowN(now, -1) // returns the attempt's token
	r.mu.Unlock()
	switch {
	case keep:
	case retired:
		r.dispatcher.queue.Release(a.delivery)
	default:
		r.dispatcher.queue.Settle(queue.Outcome{
			Delivery: a.delivery, At: now, Result: queue.Failure, State: queue.Pending, Next: now.Add(postponed),
		})
	}
	r.abandon(a)
}

// resume releases the deliveries whose credential is available, when it is time to
// check.
func (r *runner) resume(now time.Time) {
	r.mu.Lock()
	if r.held.count == 0 || now.Before(r.held.check) {
		r.mu.Unlock()
		return
	}
	r.held.check = now.Add(credentialCheck)
	renew := !now.Before(r.held.renewal)
	if renew {
		r.held.renewal = now.Add(heldRenewal)
	}
	s := r.settings
	waiting := slices.Collect(maps.Keys(r.held.deliveries))
	r.mu.Unlock()
	for _, c := range waiting {
		if renew || s.Format != Raw {
			r.release(c)
		} else if _, ok := s.value(c); ok {
			r.release(c)
		}
	}
}

// release releases the deliveries that wait for a credential to the queue.
func (r *runner) release(c credential) {
	r.mu.Lock()
	deliveries := r.held.deliveries[c]
	delete(r.held.deliveries, c)
	r.held.count -= len(deliveries)
	r.mu.Unlock()
	for _, d := range deliveries {
		r.dispatcher.queue.Release(d)
	}
}

// releaseAll releases all deliveries that wait for a credential to the queue.
func (r *runner) releaseAll() {
	r.mu.Lock()
	waiting := slices.Collect(maps.Keys(r.held.deliveries))
	r.mu.Unlock()
	for _, c := range waiting {
		r.release(c)
	}
}
