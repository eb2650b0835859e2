package dev.tessera.server.testing;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Map;

/// Stands for another object of an interface, with answers of its own to some methods.
public final class Forwarding {

  /// Called in place of a method of the other's.
  @FunctionalInterface
  public interface Own {
    Object call(Object[] arguments) throws Exception;
  }

  private Forwarding() {}

  /// @param own by the method's name
  public static <T> T to(Class<T> type, T other, Map<String, Own> own) {
    return type.cast(
        Proxy.newProxyInstance(
            type.getClassLoader(),
            new Class<?>[] {type},
            (proxy, method, arguments) -> {
              Own answer = own.get(method.getName());
              try {
                return answer != null ? answer.call(arguments) : method.invoke(other, arguments);
              } catch (InvocationTargetException e) {
                throw e.getCause();
              }
            }));
  }
}
