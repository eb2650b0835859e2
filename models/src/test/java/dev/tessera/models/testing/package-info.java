/// Fixtures that the tests of other rooms use too: tiny models made from a seed.
package dev.tessera.models.testing;
