// Package queuetest is the suite that every queue engine passes: what package
// queue promises, promise by promise, and a model that random operations are
// checked against.
package queuetest
