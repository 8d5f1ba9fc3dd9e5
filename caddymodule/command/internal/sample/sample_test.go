package sample

import (
	"bytes"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// Each sample is an event of its type, and no two are the same.
func TestBody(t *testing.T) {
	t.Parallel()
	for name, provider := range map[string]verifier.Provider{"soapnoteapi": verifier.SOAPNoteAPI{}, "soniox": verifier.Soniox{}} {
		if len(Events[name]) == 0 {
			t.Errorf("%s has no samples", name)
		}
		for _, kind := range Events[name] {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				now := time.Now()
				first, err := Body(kind, now)
				if err != nil {
					t.Fatal(err)
				}
				e, err := provider.Event(verifier.Request{Source: provider.Defaults().Source, Body: first, ReceivedAt: now})
				if err != nil || e.ShortType() != kind {
					t.Errorf("the event %v, %v", e, err)
				}
				second, err := Body(kind, now.Add(1))
				if err != nil || bytes.Equal(first, second) {
					t.Errorf("the next body is %s, %v", second, err)
				}
			})
		}
	}
	if _, err := Body("none", time.Now()); err == nil {
		t.Error("an unknown sample has a body")
	}
}
