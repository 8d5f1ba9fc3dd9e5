// Package pace decides when work for a remote server may begin: it pauses after
// failures, keeps what a Retry-After asks for, and says when to ask the queue again.
// All of it is pure data with the time as a parameter. It imports nothing of this
// module.
package pace
