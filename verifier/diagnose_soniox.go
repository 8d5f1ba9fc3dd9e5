package verifier

import "strings"

// Diagnose returns hints why a captured header's value is not one of the accepted
// values, by trying the usual mistakes. It returns none if the value is accepted.
// The hints contain nothing of the values. Like that of SOAPNoteAPI, it does not
// take constant time.
func (s Soniox) Diagnose(got string) []string {
	var slipped []string
	usable := false
	for _, value := range values(s.Values) {
		switch value {
		case "":
			continue
		case got:
			return nil
		}
		usable = true
		if hints := s.compare(got, value); hints != nil {
			return hints
		}
		_, slips := meantSecret(value)
		slipped = append(slipped, sayings(secretGiven, slips)...)
	}
	if !usable {
		return []string{"the secret is unset or empty, so nothing can be verified"}
	}
	_, sent := meantSecret(got)
	slipped = append(slipped, sayings(headerSent, sent)...)
	if IsScheme(got) {
		return append(slipped, "the secret was most likely unset where the transcription was created")
	}
	return append(slipped, "none of the usual mistakes explains it: the secret is most likely that of another environment, or an older one that was rotated")
}

// headerSent begins the hints at what is wrong with the header's value.
const headerSent = "the header's value "

// compare returns the hints for the mistakes that make two different values the
// same, or nil.
func (Soniox) compare(got, value string) []string {
	sent, sentSlips := meantSecret(got)
	meant, slips := meantSecret(value)
	hints := append(sayings(headerSent, sentSlips), sayings(secretGiven, slips)...)
	switch {
	case sent == meant:
		return hints
	case strings.EqualFold(sent, meant):
		return append(hints, "the header's value and the secret given here differ in upper and lower case")
	case WithoutScheme(sent) == WithoutScheme(meant):
		return append(hints, `the authentication scheme in front, such as "Bearer ", is in only one of the header's value and the secret given here, or is another one: it belongs to both`)
	}
	return nil
}
