# Warnings for our own code; errors in development only, so that a user's newer compiler still builds.
function(rbdxx_warnings target)
  target_compile_options(
    ${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                      -Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast -Wcast-align)
  if(RBDXX_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
