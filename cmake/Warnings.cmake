# Warnings for this project's code. They are errors only in development, so that a user can build with
# a newer compiler.
function(rbdxx_warnings target)
  target_compile_options(
    ${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                      -Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast -Wcast-align)
  if(RBDXX_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()
