// Package scenario says what a scenario is, what it gets, and which limits several scenarios share. The
// scenarios are in the packages beside it, which do not import each other.
package scenario
