// Package container tests the image and the compose file. The test, with the build tag
// examples, builds the image with buildah and runs the gateway on the image's file system.
package container
