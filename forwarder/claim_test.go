package forwarder

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		taken, n int
		want     queue.Want
	}{
		{"one of the first nine", 0, 1, queue.Want{First: 1}},
		{"the ninth", 8, 1, queue.Want{First: 1}},
		{"the tenth", 9, 1, queue.Want{Retry: 1}},
		{"the eleventh", 10, 1, queue.Want{First: 1}},
		{"the twentieth", 19, 1, queue.Want{Retry: 1}},
		{"the first ten", 0, 10, queue.Want{First: 9, Retry: 1}},
		{"across a tenth", 5, 8, queue.Want{First: 7, Retry: 1}},
		{"all of 32", 0, 32, queue.Want{First: 29, Retry: 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := split(tt.taken, tt.n); got != tt.want {
				t.Errorf("split(%d, %d) = %+v, want %+v", tt.taken, tt.n, got, tt.want)
			}
		})
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name            string
		firsts, retries int // in the queue
		n, taken        int
		wantFirsts      int
		wantRetries     int
		claims          int
	}{
		{"nothing there, one slot", 0, 0, 1, 0, 0, 0, 2},
		{"nothing there, many slots", 0, 0, 32, 0, 0, 0, 1},
		{"only firsts", 40, 0, 32, 0, 32, 0, 2},
		{"only retries", 0, 40, 32, 0, 0, 32, 2},
		{"plenty of both", 40, 40, 32, 0, 29, 3, 1},
		{"few of both", 2, 1, 32, 0, 2, 1, 1},
		{"one slot of nine", 5, 5, 1, 0, 1, 0, 1},
		{"the tenth slot", 5, 5, 1, 9, 0, 1, 1},
		{"the tenth slot, no retry due", 5, 0, 1, 9, 1, 0, 2},
		{"one slot of nine, no first", 0, 5, 1, 0, 0, 1, 2},
		{"five slots, few firsts", 2, 9, 5, 0, 2, 3, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := newMemQueue()
			for i := range tt.firsts + tt.retries {
				q.add("u", i >= tt.firsts)
			}
			got, _, err := claimNext(q, "u", noon, tt.n, tt.taken)
			if err != nil {
				t.Fatal(err)
			}
			retries := 0
			for _, d := range got {
				if d.Attempts > 0 {
					retries++
				}
			}
			if len(got)-retries != tt.wantFirsts || retries != tt.wantRetries {
				t.Errorf("took %d first attempts and %d retries, want %d and %d", len(got)-retries, retries, tt.wantFirsts, tt.wantRetries)
			}
			if len(q.wants) != tt.claims {
				t.Errorf("%d claims %+v, want %d", len(q.wants), q.wants, tt.claims)
			}
		})
	}
}

// Slot by slot, as they come under load, retries get one in ten and no more.
func TestTakeGivesOneSlotInTenToRetries(t *testing.T) {
	t.Parallel()
	q := newMemQueue()
	for i := range 400 {
		q.add("u", i%2 == 0)
	}
	var retried []int
	for slot := range 100 {
		got, _, err := claimNext(q, "u", noon, 1, slot)
		if err != nil || len(got) != 1 {
			t.Fatalf("slot %d: %v, %v", slot, got, err)
		}
		if got[0].Attempts > 0 {
			retried = append(retried, slot)
		}
	}
	if want := []int{9, 19, 29, 39, 49, 59, 69, 79, 89, 99}; !slices.Equal(retried, want) {
		t.Errorf("the slots of retries are %v, want %v", retried, want)
	}
}

func TestTakeError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk away")
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		q := newMemQueue()
		q.failClaims(0, broken)
		if got, _, err := claimNext(q, "u", noon, 5, 0); !errors.Is(err, broken) || len(got) != 0 {
			t.Errorf("take = %v, %v", got, err)
		}
	})
	t.Run("after some", func(t *testing.T) {
		t.Parallel()
		q := newMemQueue()
		q.add("u", false)
		q.failClaims(1, broken)
		if got, _, err := claimNext(q, "u", noon, 5, 0); !errors.Is(err, broken) || len(got) != 1 {
			t.Errorf("take = %v, %v: what was claimed is lost", got, err)
		}
	})
}

func TestTakeTellsWhenTheNextIsDue(t *testing.T) {
	t.Parallel()
	q := newMemQueue()
	item := q.add("u", true)
	item.next = noon.Add(time.Minute)
	_, next, err := claimNext(q, "u", noon, 5, 0)
	if err != nil || !next.Equal(noon.Add(time.Minute)) {
		t.Errorf("take: next = %v, %v", next, err)
	}
}
