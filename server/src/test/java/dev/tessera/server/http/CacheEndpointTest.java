package dev.tessera.server.http;

import static dev.tessera.server.http.TestServer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import org.junit.jupiter.api.Test;

final class CacheEndpointTest {

  @Test
  void describesTheCacheBlockByBlock() {
    try (var server = new TestServer()) {
      JsonNode cache = json(server.get("/v1/cache"));
      assertEquals("exact:first=0,last=64;k=p4;v=p3", cache.at("/policy").textValue());
      assertEquals(36_864, cache.at("/budget_bytes").longValue());
      assertEquals(
          "{\"name\":\"disk\",\"budget_bytes\":20000,\"used_bytes\":9000,\"hits\":7,\"misses\":8,"
              + "\"outrun\":9,\"stored\":12,\"declined\":1,\"fetched\":6,\"lost\":0,\"damaged\":3,"
              + "\"dropped\":4,\"slabs\":[{\"group\":0,\"form\":0,\"slabs\":2},"
              + "{\"group\":0,\"form\":1,\"slabs\":5}]}",
          cache.at("/tiers/0").toString());
      JsonNode group = cache.at("/groups/0");
      assertEquals("[\"p4\"]", group.at("/forms/1/keys").toString());
      assertEquals(1_024, group.at("/forms/1/slab_bytes").longValue());
      JsonNode live = group.at("/blocks/0");
      assertEquals("[0,1]", live.at("/forms").toString());
      assertEquals("[0,2]", live.at("/references").toString());
      assertEquals(0.5, live.at("/heat").doubleValue());
      assertTrue(group.at("/blocks/1/heat").isMissingNode());
      assertEquals("shared", live.at("/kind").textValue());
      assertEquals("cached", group.at("/blocks/1/kind").textValue());
      assertEquals(5, group.at("/blocks/1/idle").longValue());
    }
  }
}
