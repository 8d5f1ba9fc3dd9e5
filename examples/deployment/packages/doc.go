// Package packages tests the packages that `make package` builds. Its test, with the build
// tag examples, installs the .deb on a copy of this machine's file system, runs the gateway
// as the service would, upgrades, removes and purges it.
package packages
