package standin_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

type transcriptionList struct {
	Transcriptions []transcription `json:"transcriptions"`
	Next           *string         `json:"next_page_cursor"`
}

func list(t *testing.T, url, key, query string) transcriptionList {
	t.Helper()
	status, body := call(t, "GET", url+"/v1/transcriptions?"+query, key, "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	return decode[transcriptionList](t, body)
}

func ids(all []transcription) (ids []string) {
	for _, one := range all {
		ids = append(ids, one.ID)
	}
	return ids
}

// TestList reads a list in pages of each size, in both orders.
func TestList(t *testing.T) {
	t.Parallel()
	for name, oldestFirst := range map[string]bool{"newest first": false, "oldest first": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, standin.Options{OldestFirst: oldestFirst})
			began := time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)
			var want []string
			for i := range 7 { // several are of the same time
				want = append(want, s.AddTranscription(standin.Transcription{CreatedAt: began.Add(time.Duration(i/3) * time.Hour)}))
			}
			s.AddTranscription(standin.Transcription{Project: "other"})
			whole := list(t, url, standin.SonioxKey, "")
			if whole.Next != nil {
				t.Errorf("a cursor behind the last page: %s", *whole.Next)
			}
			if got := slices.Sorted(slices.Values(ids(whole.Transcriptions))); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Fatalf("listed %q, want %q", got, want)
			}
			first := map[bool]string{false: "2026-03-19T17:30:00Z", true: "2026-03-19T15:30:00Z"}[oldestFirst]
			if got := whole.Transcriptions[0].CreatedAt; got != first {
				t.Errorf("the first is of %s, want %s", got, first)
			}
			for limit := 1; limit <= 8; limit++ {
				var got []string
				for query := "limit=" + strconv.Itoa(limit); ; {
					page := list(t, url, standin.SonioxKey, query)
					got = append(got, ids(page.Transcriptions)...)
					if len(page.Transcriptions) == 0 {
						t.Errorf("pages of %d: the last one is empty", limit)
					}
					if page.Next == nil {
						break
					}
					if len(page.Transcriptions) != limit {
						t.Errorf("a page of %d, want %d", len(page.Transcriptions), limit)
					}
					query = "limit=" + strconv.Itoa(limit) + "&cursor=" + *page.Next
				}
				if !slices.Equal(got, ids(whole.Transcriptions)) {
					t.Errorf("pages of %d: %q, want %q", limit, got, ids(whole.Transcriptions))
				}
			}
		})
	}
}

// TestListWhileItChanges checks that a cursor skips nothing and repeats nothing if entries
// come and go between two pages.
func TestListWhileItChanges(t *testing.T) {
	t.Parallel()
	s, url := start(t, standin.Options{})
	now := time.Now()
	var added []string
	for i := range 4 {
		added = append(added, s.AddTranscription(standin.Transcription{CreatedAt: now.Add(-time.Duration(i) * time.Minute)}))
	}
	page := list(t, url, standin.SonioxKey, "limit=2")
	s.AddTranscription(standin.Transcription{CreatedAt: now.Add(time.Minute)})
	if status, _ := call(t, "DELETE", url+"/v1/transcriptions/"+added[1], standin.SonioxKey, ""); status != http.StatusNoContent {
		t.Fatalf("deleting: %d", status)
	}
	rest := list(t, url, standin.SonioxKey, "cursor="+*page.Next)
	if got := ids(rest.Transcriptions); !slices.Equal(got, added[2:]) || rest.Next != nil {
		t.Errorf("the next page has %q, want %q", got, added[2:])
	}
}

// TestPageOf1000 checks the size of a page without a limit, and an empty list.
func TestPageOf1000(t *testing.T) {
	t.Parallel()
	s, url := start(t, standin.Options{})
	if empty := list(t, url, standin.SonioxKey, "limit=1000"); empty.Transcriptions == nil || empty.Next != nil {
		t.Errorf("without transcriptions: %+v", empty)
	}
	for range 1001 {
		s.AddTranscription(standin.Transcription{ID: uuid.NewString()})
	}
	for _, query := range []string{"", "limit=1000"} {
		if page := list(t, url, readKey, query); len(page.Transcriptions) != 1000 || page.Next == nil {
			t.Errorf("%q: %d transcriptions", query, len(page.Transcriptions))
		}
	}
}

// TestListFiles checks the pages of the list of files.
func TestListFiles(t *testing.T) {
	t.Parallel()
	s, url := start(t, standin.Options{})
	for range 3 {
		s.AddFile(standin.File{})
	}
	s.AddFile(standin.File{Project: "other"})
	total := 0
	for query := "limit=2"; query != ""; {
		status, body := call(t, "GET", url+"/v1/files?"+query, standin.SonioxKey, "")
		page := decode[struct {
			Files []file  `json:"files"`
			Next  *string `json:"next_page_cursor"`
		}](t, body)
		if status != http.StatusOK || len(page.Files) == 0 {
			t.Fatalf("%d %s", status, body)
		}
		total, query = total+len(page.Files), ""
		if page.Next != nil {
			query = "cursor=" + *page.Next
		}
	}
	if total != 3 {
		t.Errorf("%d files are listed, want 3", total)
	}
}

// TestCounts checks the counts, which are those of the organization.
func TestCounts(t *testing.T) {
	t.Parallel()
	s, url := start(t, standin.Options{Playground: 8})
	s.AddFile(standin.File{})
	s.AddFile(standin.File{Project: "other"})
	s.AddTranscription(standin.Transcription{})
	for path, want := range map[string]string{
		"/v1/files/count":          `{"playground":8,"public_api":2,"total":10}`,
		"/v1/transcriptions/count": `{"playground":8,"public_api":1,"total":9}`,
	} {
		if status, body := call(t, "GET", url+path, readKey, ""); status != http.StatusOK || string(body) != want {
			t.Errorf("%s: %d %s, want %s", path, status, body, want)
		}
	}
}
