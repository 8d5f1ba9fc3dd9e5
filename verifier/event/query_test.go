package event_test

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/scribegate/scribegate/verifier/event"
)

func TestParseQuery(t *testing.T) {
	t.Parallel()
	type params = []event.Param
	tests := []struct {
		name string
		raw  string
		keep []string
		want params
	}{
		{"nothing", "", nil, nil},
		{"one", "user_id=123", nil, params{{"user_id", []string{"123"}}}},
		{"order of first appearance", "b=1&a=2&b=3", nil, params{{"b", []string{"1", "3"}}, {"a", []string{"2"}}}},
		{"no value", "a&b=", nil, params{{"a", []string{""}}, {"b", []string{""}}}},
		{"no name", "=x", nil, params{{"", []string{"x"}}}},
		{"empty pieces", "&&a=1&", nil, params{{"a", []string{"1"}}}},
		{"equals sign in a value", "a=b=c", nil, params{{"a", []string{"b=c"}}}},
		{"semicolon", "a=1;b=2", nil, params{{"a", []string{"1;b=2"}}}},
		{"plus is a space", "a+b=c+d", nil, params{{"a b", []string{"c d"}}}},
		{"escapes", "%61=%C3%a9%26", nil, params{{"a", []string{"é&"}}}},
		{"escaped and plain name are one", "%61=1&a=2", nil, params{{"a", []string{"1", "2"}}}},
		{"malformed escape stays", "a=%zz%4&b=100%", nil, params{{"a", []string{"%zz%4"}}, {"b", []string{"100%"}}}},
		{"malformed beside good", "a=%zz%41+", nil, params{{"a", []string{"%zzA "}}}},
		{"percent before an escape", "a=%%41", nil, params{{"a", []string{"%A"}}}},
		{"escaped percent is not decoded twice", "a=%2541", nil, params{{"a", []string{"%41"}}}},
		{"not UTF-8, escaped", "a=x%ffy", nil, params{{"a", []string{"x\uFFFDy"}}}},
		{"not UTF-8, plain", "\xff=\xfe", nil, params{{"\uFFFD", []string{"\uFFFD"}}}},
		{"keep some", "a=1&b=2&c=3&b=4", []string{"c", "b"}, params{{"b", []string{"2", "4"}}, {"c", []string{"3"}}}},
		{"keep by the decoded name", "%62=2&B=3", []string{"b"}, params{{"b", []string{"2"}}}},
		{"keep none", "a=1", []string{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := event.ParseQuery(tt.raw, tt.keep); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("ParseQuery(%q, %q) = %q, want %q", tt.raw, tt.keep, got, tt.want)
			}
		})
	}
}

func TestParseQueryWithManyNames(t *testing.T) {
	t.Parallel()
	var raw strings.Builder
	for range 2 {
		for i := range 1000 {
			fmt.Fprintf(&raw, "n%d=%d&", i, i)
		}
	}
	got := event.ParseQuery(raw.String(), nil)
	if len(got) != 1000 {
		t.Fatalf("%d names, want 1000", len(got))
	}
	for i, p := range got {
		value := fmt.Sprint(i)
		if p.Name != "n"+value || !slices.Equal(p.Values, []string{value, value}) {
			t.Fatalf("parameter %d is %q", i, p)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{"a=1&b=2&a=3", "%zz=%41", "a+b;c", "\xff&&=", "user_id=123&order_id=456"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := event.ParseQuery(raw, nil)
		values := 0
		for i, p := range got {
			values += len(p.Values)
			if len(p.Values) == 0 || !utf8.ValidString(p.Name) || !utf8.ValidString(strings.Join(p.Values, "")) {
				t.Errorf("parameter %q of %q", p, raw)
			}
			if slices.ContainsFunc(got[:i], func(q event.Param) bool { return q.Name == p.Name }) {
				t.Errorf("the name %q of %q is returned twice", p.Name, raw)
			}
			if one := event.ParseQuery(raw, []string{p.Name}); !reflect.DeepEqual(one, got[i:i+1]) {
				t.Errorf("%q alone of %q is %q, want %q", p.Name, raw, one, got[i])
			}
		}
		pieces := 0
		for piece := range strings.SplitSeq(raw, "&") {
			if piece != "" {
				pieces++
			}
		}
		if values != pieces {
			t.Errorf("%d values of %q, want %d", values, raw, pieces)
		}
		// What package url takes it reads in the same way.
		want, err := url.ParseQuery(raw)
		if err != nil || !utf8.ValidString(fmt.Sprint(want)) {
			return
		}
		if len(got) != len(want) {
			t.Errorf("%d names of %q, want %d", len(got), raw, len(want))
		}
		for _, p := range got {
			if !slices.Equal(p.Values, want[p.Name]) {
				t.Errorf("%q of %q is %q, want %q", p.Name, raw, p.Values, want[p.Name])
			}
		}
	})
}
