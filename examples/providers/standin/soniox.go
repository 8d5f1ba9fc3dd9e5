package standin

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// An access is what a key must be allowed to do.
type access int

const (
	read access = iota
	write
)

// soniox returns an endpoint of Soniox, which checks the key of the request first.
func (s *Server) soniox(need access, e func(*http.Request, Key) answer) endpoint {
	return func(r *http.Request) answer {
		value := bearer(r)
		if strings.HasPrefix(value, "snx_org_") {
			return sonioxError(http.StatusForbidden, "permission_denied", "A key of the organization cannot be used here. Use a key of a project.")
		}
		i := slices.IndexFunc(s.options.SonioxKeys, func(k Key) bool { return k.Value == value })
		if value == "" || i < 0 {
			return sonioxError(http.StatusUnauthorized, "unauthenticated", "The API key is missing or wrong.")
		}
		key := s.options.SonioxKeys[i]
		if need == write && key.ReadOnly {
			return sonioxError(http.StatusForbidden, "permission_denied", "The API key may only read.")
		}
		return e(r, key)
	}
}

// sonioxID returns the id of a request's path in lower case, and whether it is a UUID.
func sonioxID(r *http.Request) (string, bool) {
	id := strings.ToLower(r.PathValue("id"))
	return id, isUUID(id)
}

func isUUID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }

func malformedID(parameter string) answer {
	return invalidRequest(validationError{"uuid_parsing", "path." + parameter, "The value is not a UUID."})
}

// A position is a place in a list: that of an entry.
type position struct {
	at time.Time
	id string
}

func (p position) compare(q position) int {
	if c := p.at.Compare(q.at); c != 0 {
		return c
	}
	return strings.Compare(p.id, q.id)
}

func (p position) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.at.UnixNano(), 10) + " " + p.id))
}

func parseCursor(cursor string) (position, bool) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return position{}, false
	}
	at, id, _ := strings.Cut(string(b), " ")
	nanoseconds, err := strconv.ParseInt(at, 10, 64)
	return position{time.Unix(0, nanoseconds), id}, err == nil && isUUID(id)
}

// page returns the entries of the page that a request asks for, and the cursor of the
// next page, which is nil after the last one. It returns an error of Soniox if the
// request's parameters are not valid.
func page[T any](s *Server, r *http.Request, all []T, at func(T) position) (entries []T, next *string, failed *answer) {
	compare := func(a, b position) int { return b.compare(a) }
	if s.options.OldestFirst {
		compare = position.compare
	}
	slices.SortFunc(all, func(a, b T) int { return compare(at(a), at(b)) })

	query := r.URL.Query()
	limit := 1000
	if query.Has("limit") {
		n, err := strconv.Atoi(query.Get("limit"))
		if err != nil || n < 1 || n > 1000 {
			a := invalidRequest(validationError{"value_error", "query.limit", "The value is not a number from 1 to 1000."})
			return nil, nil, &a
		}
		limit = n
	}
	if query.Has("cursor") {
		after, ok := parseCursor(query.Get("cursor"))
		if !ok {
			a := sonioxError(http.StatusBadRequest, "invalid_cursor", "The cursor is not valid. Leave it out to begin with the first page.")
			return nil, nil, &a
		}
		all = slices.DeleteFunc(all, func(entry T) bool { return compare(at(entry), after) <= 0 })
	}
	if len(all) <= limit {
		return all, nil, nil
	}
	cursor := at(all[limit-1]).cursor()
	return all[:limit], &cursor, nil
}

// counts returns the answer of a count.
func (s *Server) counts(publicAPI int) answer {
	return jsonAnswer(http.StatusOK, struct {
		Playground int `json:"playground"`
		PublicAPI  int `json:"public_api"`
		Total      int `json:"total"`
	}{s.options.Playground, publicAPI, s.options.Playground + publicAPI})
}

// orNull returns nil for the zero value, which is null in JSON.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// timestamp formats a time as Soniox does.
func timestamp(at time.Time) string {
	return at.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}
