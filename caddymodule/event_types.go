package caddymodule

import (
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/forwarder"
)

// warnUnknownTypes logs a warning for each word of an option that is not a type that a provider
// sends today. It is not an error, since a provider may add a type.
func warnUnknownTypes(logger *zap.Logger, option string, words []string, about ...zap.Field) {
	known := build.EventTypes()
	for _, word := range words {
		if word == forwarder.AllEvents || slices.Contains(known, word) {
			continue
		}
		fields := append(slices.Clone(about), zap.String("type", word))
		nearest := nearestType(word, known)
		switch {
		case nearest == "":
			logger.Warn("a type in `"+option+"` is not one that a provider sends today; correct it, unless the provider is going to add it", fields...)
		case strings.HasSuffix(word, "."+nearest):
			logger.Warn("a type in `"+option+"` has a prefix and matches no event; write the short type", append(fields, zap.String("nearest", nearest))...)
		default:
			logger.Warn("a type in `"+option+"` is not one that a provider sends today; the nearest type is probably meant", append(fields, zap.String("nearest", nearest))...)
		}
	}
}

// maxTypos is how many letters may be wrong in a word for which the warning names the nearest
// type.
const maxTypos = 2

// nearestType returns the known type that a word probably means, or "".
func nearestType(word string, known []string) string {
	plain := strings.NewReplacer("_", ".", "-", ".").Replace(strings.ToLower(word))
	best, least := "", maxTypos+1
	for _, t := range known {
		if strings.HasSuffix(plain, "."+t) || strings.HasSuffix(t, "."+plain) {
			return t
		}
		if n := typos(plain, t); n < least && n < len(t)/2 {
			best, least = t, n
		}
	}
	return best
}

// typos returns how many letters must be inserted, removed or replaced to change
// one word into the other (the Levenshtein distance).
func typos(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			n := diagonal
			if a[i] != b[j] {
				n = min(n, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], n
		}
	}
	return row[len(b)]
}
